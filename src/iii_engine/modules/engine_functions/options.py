"""Options of `iii-engine-functions`: there are none."""

from __future__ import annotations

from msgspec import Struct


class EngineFunctionsOptions(Struct, forbid_unknown_fields=True):
    pass
