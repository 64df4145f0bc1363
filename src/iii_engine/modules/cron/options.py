"""Options of `iii-cron`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from iii_engine.modules.adapters import Adapter, KvConfig, NatsConfig, RedisConfig


class CronOptions(Struct, forbid_unknown_fields=True):
    """Where the locks of ticks are kept; without an adapter in the engine's own store."""

    #: Where the locks of ticks are.
    adapter: Adapter = field(default_factory=Adapter)


class LockConfig(KvConfig, forbid_unknown_fields=True):
    """Config of the adapter `kv`. A tick is locked `lock_ttl_ms` long, and while it runs."""

    #: How long a tick is locked, ms.
    lock_ttl_ms: Annotated[int, Meta(ge=1)] = 30_000
    #: Name of the set of locks.
    lock_index: str = "cron_locks"


class RedisLockConfig(RedisConfig, forbid_unknown_fields=True):
    """Config of the adapter `redis`: engines at one server run each tick once together."""

    #: How long a tick is locked, ms.
    lock_ttl_ms: Annotated[int, Meta(ge=1)] = 30_000


class NatsLockConfig(NatsConfig, forbid_unknown_fields=True):
    """Config of the adapter `nats` (an extension), as that of `redis`."""

    #: How long a tick is locked, ms; the first engine decides.
    lock_ttl_ms: Annotated[int, Meta(ge=100)] = 30_000


#: Names of adapters with their older class names.
ADAPTERS = {
    "kv": ("modules::cron::KvCronAdapter", "workers::cron::KvCronAdapter"),
    "redis": ("modules::cron::RedisCronAdapter", "workers::cron::RedisCronAdapter"),
    "nats": (),
}

#: What the adapters are configured with.
ADAPTER_CONFIGS = {"kv": LockConfig, "redis": RedisLockConfig, "nats": NatsLockConfig}
