"""Options of `iii-pubsub`."""

from __future__ import annotations

from msgspec import Struct, field

from iii_engine.modules.adapters import Adapter, NatsConfig, RedisConfig


class PubSubOptions(Struct, forbid_unknown_fields=True):
    """How messages travel; without an adapter inside this engine.

    `redis` and the extension `nats` take them to all engines at one server. In Redis the topic is
    the channel and the message its JSON text, without its trace; in NATS the topic is a subject
    below `<prefix>.pubsub`.
    """

    #: How messages travel.
    adapter: Adapter = field(default_factory=Adapter)


class LocalConfig(Struct, forbid_unknown_fields=True):
    """Config of the adapter `local`: there is nothing to say."""


#: Names of adapters with their older class names.
ADAPTERS = {
    "local": ("modules::pubsub::LocalAdapter", "workers::pubsub::LocalAdapter"),
    "redis": ("modules::pubsub::RedisAdapter", "workers::pubsub::RedisAdapter"),
    "nats": (),
}

#: What the adapters are configured with.
ADAPTER_CONFIGS = {"local": LocalConfig, "redis": RedisConfig, "nats": NatsConfig}
