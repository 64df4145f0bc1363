"""Options of `iii-state`."""

from __future__ import annotations

from msgspec import Struct, field

from iii_engine.modules.adapters import Adapter
from iii_engine.modules.stores import RECORD_ADAPTERS, Place


class StateOptions(Struct, forbid_unknown_fields=True):
    """Where records are kept; without an adapter in memory.

    `redis` and `nats` share the records between engines; the adapter `nats` is an extension, and
    refuses transactions over several records (`not_supported`). With `bridge` the records are
    those of another engine.
    """

    #: Where records are.
    adapter: Adapter = field(default_factory=Adapter)


#: Names of adapters with their older class names.
ADAPTERS = {
    "kv": ("modules::state::adapters::KvStore", "workers::state::adapters::KvStore"),
    "redis": ("modules::state::adapters::RedisAdapter", "workers::state::adapters::RedisAdapter"),
    "nats": (),
    "bridge": ("modules::state::adapters::Bridge", "workers::state::adapters::Bridge"),
}

#: In Redis a scope is the hash `state:<scope>`.
PLACE = Place(spaces="state/", redis="state:", nats="state")

#: What the adapters are configured with.
ADAPTER_CONFIGS = RECORD_ADAPTERS
