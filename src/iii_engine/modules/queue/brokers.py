"""Which broker the option `adapter` means."""

from __future__ import annotations

from iii_engine.core.engine import Engine
from iii_engine.modules.adapters import (
    Adapter,
    KvConfig,
    adapter_config,
    adapter_name,
    warn_of_method,
)
from iii_engine.modules.queue.broker import Broker
from iii_engine.modules.queue.embedded import EmbeddedBroker
from iii_engine.modules.queue.jetstream.options import JetConfig
from iii_engine.modules.queue.journal import Soon
from iii_engine.modules.queue.options import ADAPTERS, BuiltinConfig, TopicDefaults
from iii_engine.storage.base import LocalStore


def broker_config(adapter: Adapter) -> BuiltinConfig | JetConfig:
    """The config of the adapter. Raises `BadAdapter` that names what is wrong."""
    if adapter_name(adapter, ADAPTERS, "builtin") == "nats":
        return adapter_config(adapter, JetConfig)
    return adapter_config(adapter, BuiltinConfig)


def make_broker(engine: Engine, store: LocalStore, soon: Soon, config: TopicDefaults) -> Broker:
    """Where the jobs are, not opened yet. Raises `MissingExtra`."""
    if isinstance(config, JetConfig):
        from iii_engine.modules.queue.jetstream.broker import JetStreamBroker

        return JetStreamBroker(engine, config)
    assert isinstance(config, BuiltinConfig)
    warn_of_method(KvConfig(config.store_method))
    return EmbeddedBroker(engine, store, soon)


def same_place(old: Adapter, new: Adapter) -> bool:
    """Whether the jobs stay where they are; an embedded store never moves while it runs."""
    before, after = broker_config(old), broker_config(new)
    return type(before) is type(after) and (isinstance(after, BuiltinConfig) or before == after)
