"""Options of `iii-state`."""

from __future__ import annotations

from msgspec import Struct, field

from iii_engine.modules.adapters import Adapter


class StateOptions(Struct, forbid_unknown_fields=True):
    """Where records are kept; without an adapter in memory."""

    #: Where records are.
    adapter: Adapter = field(default_factory=Adapter)


#: Names of adapters with their older class names.
ADAPTERS = {"kv": ("modules::state::adapters::KvStore", "workers::state::adapters::KvStore")}
