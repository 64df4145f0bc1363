"""Which broker the option `adapter` means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from iii_engine.core.engine import Engine
from iii_engine.extras import need
from iii_engine.modules.adapters import (
    Adapter,
    BridgeConfig,
    KvConfig,
    adapter_config,
    adapter_name,
    warn_of_method,
)
from iii_engine.modules.queue.broker import Broker
from iii_engine.modules.queue.embedded import EmbeddedBroker
from iii_engine.modules.queue.jetstream import options as jetstream
from iii_engine.modules.queue.jetstream.options import JetConfig
from iii_engine.modules.queue.journal import Soon
from iii_engine.modules.queue.options import ADAPTERS, BuiltinConfig, QueueConfig, TopicDefaults
from iii_engine.modules.queue.rabbitmq import options as rabbitmq
from iii_engine.modules.queue.rabbitmq.options import RabbitConfig
from iii_engine.modules.queue.redis import options as redis
from iii_engine.modules.queue.redis.options import RedisQueueConfig
from iii_engine.modules.queue.refusals import Refusals
from iii_engine.storage.base import LocalStore

#: What the adapters are configured with whose broker is of this engine.
BROKER_CONFIGS: Final[Mapping[str, type[TopicDefaults]]] = {
    "builtin": BuiltinConfig,
    "nats": JetConfig,
    "redis": RedisQueueConfig,
    "rabbitmq": RabbitConfig,
}
#: What those that are on a server have no means for.
REFUSALS: Final[Mapping[type[TopicDefaults], Refusals]] = {
    JetConfig: jetstream.REFUSALS,
    RedisQueueConfig: redis.REFUSALS,
    RabbitConfig: rabbitmq.REFUSALS,
}

#: What the adapters are configured with.
ADAPTER_CONFIGS: Final[Mapping[str, type[Struct]]] = {**BROKER_CONFIGS, "bridge": BridgeConfig}


def broker_config(adapter: Adapter) -> TopicDefaults:
    """The config of the adapter. Raises `BadAdapter` that names what is wrong."""
    return adapter_config(adapter, BROKER_CONFIGS[adapter_name(adapter, ADAPTERS, "builtin")])


def check_queue(broker: TopicDefaults, name: str, config: QueueConfig) -> None:
    """Raises `BadQueue` for what the broker cannot do."""
    refusals = REFUSALS.get(type(broker))
    if refusals is not None:
        refusals.check_queue(name, config)
    if isinstance(broker, RabbitConfig):
        rabbitmq.check_name(name)


def make_broker(engine: Engine, store: LocalStore, soon: Soon, config: TopicDefaults) -> Broker:
    """Where the jobs are, not opened yet. Raises `MissingExtra`."""
    if isinstance(config, JetConfig):
        from iii_engine.modules.queue.jetstream.broker import JetStreamBroker

        return JetStreamBroker(engine, config)
    if isinstance(config, RedisQueueConfig):
        need("redis", "the adapter 'redis'")
        from iii_engine.modules.queue.redis.broker import RedisBroker

        return RedisBroker(engine, config)
    if isinstance(config, RabbitConfig):
        from iii_engine.modules.queue.rabbitmq.broker import RabbitBroker

        return RabbitBroker(engine, store, config)
    assert isinstance(config, BuiltinConfig)
    warn_of_method(KvConfig(config.store_method))
    return EmbeddedBroker(engine, store, soon)


def same_place(old: Adapter, new: Adapter) -> bool:
    """Whether the jobs stay where they are; an embedded store never moves while it runs."""
    before, after = broker_config(old), broker_config(new)
    if isinstance(before, RedisQueueConfig) and isinstance(after, RedisQueueConfig):
        return (before.redis_url, before.lease_ms) == (after.redis_url, after.lease_ms)
    return type(before) is type(after) and (isinstance(after, BuiltinConfig) or before == after)
