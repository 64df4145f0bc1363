"""A component of `engine::health::check`."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

Detail: TypeAlias = str | int | bool


class Component(Struct):
    """`status` is `healthy`, `degraded` or `disabled`; a disabled one has no details."""

    status: str
    details: dict[str, Detail] | None


DISABLED = Component("disabled", None)
