"""Which server carries the messages of a module to other engines, by its option `adapter`."""

from __future__ import annotations

from typing import TypeAlias

from iii_engine.modules.adapters import NatsConfig, RedisConfig
from iii_engine.net.broadcast import Broadcast, Heard

Carrier: TypeAlias = RedisConfig | NatsConfig


def make_broadcast(carrier: Carrier, subject: str, heard: Heard) -> Broadcast:
    """Not open yet. In NATS topics are below `subject`, which follows the prefix."""
    match carrier:
        case RedisConfig():
            from iii_engine.net.redis_broadcast import RedisBroadcast

            return RedisBroadcast(carrier.redis_url, heard)
        case NatsConfig():
            from iii_engine.net.nats_broadcast import NatsBroadcast

            return NatsBroadcast(carrier.nats_url, f"{carrier.prefix}.{subject}", heard)
