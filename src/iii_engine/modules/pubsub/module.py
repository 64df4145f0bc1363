"""`iii-pubsub`: the function `publish` and the trigger type `subscribe`.

A message goes to whoever listens at that moment and is kept for nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from msgspec import Raw, Struct, field

from iii_engine.core.caller_stamp import without_caller
from iii_engine.core.router import Call
from iii_engine.extras import need
from iii_engine.modules.adapters import NatsConfig, RedisConfig, adapter_config, adapter_name
from iii_engine.modules.base import Module, fail, read
from iii_engine.modules.broadcasts import make_broadcast
from iii_engine.modules.pubsub.options import ADAPTERS, LocalConfig, PubSubOptions
from iii_engine.modules.pubsub.subscriptions import Subscriptions
from iii_engine.net.broadcast import Broadcast, Message
from iii_engine.storage.base import StoreError
from iii_sdk.errors import BusError
from iii_sdk.protocol import NULL, Id

log = logging.getLogger("iii.pubsub")


class PublishRequest(Struct):
    """A message: any JSON, null when absent."""

    topic: Id
    data: Raw = field(default_factory=lambda: NULL)


class PubSubModule(Module[PubSubOptions]):
    """At most once: who is not subscribed, or does not keep up, misses messages."""

    kind = "iii-pubsub"
    Options = PubSubOptions
    #: The way to other engines; None without one.
    broadcast: Broadcast | None = None
    #: What the host has of it, once started.
    _tell: Callable[[str, Callable[[], Message]], None] | None = None

    @classmethod
    def check(cls, options: PubSubOptions) -> None:
        carrier(options)

    async def start(self) -> None:
        self.subscriptions = Subscriptions(self.engine)
        chosen = carrier(self.options)
        if chosen is not None:
            broadcast = make_broadcast(chosen, "pubsub", self.subscriptions.heard)
            await broadcast.open()
            self.broadcast = broadcast
            self.subscriptions.reserved = broadcast.reserved
            self.subscriptions.wanted = broadcast.listen
            self.subscriptions.unwanted = broadcast.unlisten
        self.host.publish = self._tell = self.tell
        self.offer(
            "publish",
            self._publish,
            description="Send data to all subscribers of a topic; nobody waits for them",
            request=PublishRequest,
        )
        self.offer_type(self.subscriptions.kind, aliases=("pubsub",))

    async def reconfigure(self, options: PubSubOptions) -> bool:
        """In place while messages go the same way."""
        if carrier(options) != carrier(self.options):
            return False
        self.options = options
        return True

    def status(self) -> str:
        return (self.broadcast and self.broadcast.problem) or super().status()

    async def stop(self) -> None:
        await super().stop()
        if self.host.publish is self._tell:
            self.host.publish = None
        if self.broadcast is not None:
            await self.broadcast.close()

    def tell(self, topic: str, make: Callable[[], Message]) -> None:
        """Publish what the engine itself has to say; it is made when somebody may listen."""
        if self.broadcast is not None:
            self.broadcast.publish(make(), partial(_told, topic))
        elif any(self.subscriptions.topics.wanting(topic)):
            message = make()
            self.subscriptions.deliver(topic, message.data, message.traceparent, message.baggage)

    def _publish(self, call: Call) -> None:
        try:
            message = read(call, PublishRequest)
            if not message.topic:
                raise BusError("Topic is not set", code="topic_not_set")
            self.subscriptions.check(message.topic)
        except BusError as error:
            fail(call, error)
            return
        data = bytes(without_caller(message.data))
        if self.broadcast is None:
            self.subscriptions.deliver(message.topic, data, call.traceparent, call.baggage)
            call.reply(NULL)
        else:
            carried = Message(message.topic, data, call.traceparent, call.baggage)
            self.broadcast.publish(carried, partial(_sent, call))


def carrier(options: PubSubOptions) -> RedisConfig | NatsConfig | None:
    """Who carries messages; None for this engine alone. Raises `BusError`."""
    match adapter_name(options.adapter, ADAPTERS, "local"):
        case "redis":
            need("redis", "the adapter 'redis'")
            return adapter_config(options.adapter, RedisConfig)
        case "nats":
            need("nats", "the adapter 'nats'")
            return adapter_config(options.adapter, NatsConfig)
    adapter_config(options.adapter, LocalConfig)
    return None


def _told(topic: str, error: StoreError | None) -> None:
    if error is not None:
        log.warning("nobody is told of an event on %s: %s", topic, error)


def _sent(call: Call, error: StoreError | None) -> None:
    if error is None:
        call.reply(NULL)
    else:
        fail(call, error, "PUBLISH_ERROR")
