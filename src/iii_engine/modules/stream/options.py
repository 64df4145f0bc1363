"""Options of `iii-stream`."""

from __future__ import annotations

from msgspec import Struct, field

from iii_engine.modules.adapters import Adapter
from iii_engine.modules.bounds import Port
from iii_engine.modules.stores import RECORD_ADAPTERS, Place


class StreamOptions(Struct, forbid_unknown_fields=True):
    """Where clients connect, who may, and where items are kept (without an adapter in memory).

    Without `auth_function` everybody may. `allowed_origins` absent: pages of this machine. With the
    adapters `redis` and `nats` (an extension) several engines share streams and subscribers.
    """

    #: Where clients connect; 0 takes a free port.
    port: Port = 3112
    #: The address to listen on.
    host: str = "127.0.0.1"
    #: Function that is asked at each upgrade, and answers `{"context": …}` for who may enter.
    auth_function: str | None = None
    #: Whether subscriptions that no `stream:join` handler is asked about are refused. A trigger
    #: goes with its worker: without this nobody guards a stream while that worker is away.
    require_join: bool = False
    #: Pages that may connect; `*` for all.
    allowed_origins: list[str] | None = None
    #: Where items are.
    adapter: Adapter = field(default_factory=Adapter)


#: Names of adapters with their older class names.
ADAPTERS = {
    "kv": ("modules::stream::adapters::KvStore", "workers::stream::adapters::KvStore"),
    "redis": ("modules::stream::adapters::RedisAdapter", "workers::stream::adapters::RedisAdapter"),
    "nats": (),
    "bridge": ("modules::stream::adapters::Bridge", "workers::stream::adapters::Bridge"),
}

#: In Redis a group is the hash `stream:<stream>:<group>`.
PLACE = Place(spaces="stream/", redis="stream:", nats="stream", pairs=True)

#: What the adapters are configured with.
ADAPTER_CONFIGS = RECORD_ADAPTERS
