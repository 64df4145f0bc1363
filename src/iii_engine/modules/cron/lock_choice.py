"""Which locks the option `adapter` means."""

from __future__ import annotations

import uuid
from typing import TypeAlias

from iii_engine.extras import need
from iii_engine.modules.adapters import adapter_config, adapter_name, warn_of_method
from iii_engine.modules.base import Host
from iii_engine.modules.cron.locks import Locks, StoreLocks
from iii_engine.modules.cron.options import (
    ADAPTERS,
    CronOptions,
    LockConfig,
    NatsLockConfig,
    RedisLockConfig,
)

Choice: TypeAlias = LockConfig | RedisLockConfig | NatsLockConfig


def read_choice(options: CronOptions) -> Choice:
    """Raises `BusError` that names what is wrong."""
    match adapter_name(options.adapter, ADAPTERS, "kv"):
        case "redis":
            need("redis", "the adapter 'redis'")
            return adapter_config(options.adapter, RedisLockConfig)
        case "nats":
            need("nats", "the adapter 'nats'")
            return adapter_config(options.adapter, NatsLockConfig)
    config = adapter_config(options.adapter, LockConfig)
    warn_of_method(config)
    return config


def make_locks(choice: Choice, host: Host) -> Locks:
    """Not open yet. Locks on a server have an owner that no other engine has, seeds or not."""
    match choice:
        case RedisLockConfig():
            from iii_engine.modules.cron.redis_locks import RedisLocks

            return RedisLocks(choice.redis_url, uuid.uuid4().hex, choice.lock_ttl_ms)
        case NatsLockConfig():
            from iii_engine.modules.cron.nats_locks import NatsLocks

            return NatsLocks(choice, uuid.uuid4().hex, choice.lock_ttl_ms)
    engine = host.engine
    return StoreLocks(
        host.store, engine.clock, engine.ids.uuid(), choice.lock_index, choice.lock_ttl_ms
    )
