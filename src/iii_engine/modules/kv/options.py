"""Options of `iii-kv`."""

from __future__ import annotations

from iii_engine.modules.adapters import Adapter, KvConfig, NatsConfig, RedisConfig
from iii_engine.modules.stores import Place


class KvOptions(KvConfig, forbid_unknown_fields=True):
    """Where entries are kept: in memory, in the engine's durable store, or (an extension) on the
    server of an adapter."""

    #: `redis` or `nats`, with their config; the options beside it then have no effect.
    adapter: Adapter | None = None

    @property
    def chosen(self) -> Adapter:
        """The adapter that these options mean."""
        if self.adapter is not None:
            return self.adapter
        own: dict[str, object] = {name: getattr(self, name) for name in KvConfig.__struct_fields__}
        return Adapter("kv", config=own)


#: Names of adapters; there are no older class names.
ADAPTERS: dict[str, tuple[str, ...]] = {"kv": (), "redis": (), "nats": ()}

#: In Redis an index is the hash `kv:<index>`.
PLACE = Place(spaces="kv/", redis="kv:", nats="kv")

#: What the adapters are configured with.
ADAPTER_CONFIGS = {"kv": KvConfig, "redis": RedisConfig, "nats": NatsConfig}
