"""`iii-pubsub`: the function `publish` and the trigger type `subscribe`.

A message goes to whoever listens at that moment and is kept for nobody.
"""

from __future__ import annotations

from msgspec import Raw, Struct, field

from iii_engine.core.router import Call
from iii_engine.modules.adapters import adapter_config, adapter_name
from iii_engine.modules.base import Module, answering, read
from iii_engine.modules.pubsub.options import ADAPTERS, LocalConfig, PubSubOptions
from iii_engine.modules.pubsub.subscriptions import Subscriptions
from iii_sdk.errors import BusError
from iii_sdk.protocol import NULL


class PublishRequest(Struct):
    """A message: any JSON, null when absent."""

    topic: str
    data: Raw = field(default_factory=lambda: NULL)


class PubSubModule(Module[PubSubOptions]):
    """At most once: who is not subscribed, or does not keep up, misses messages."""

    kind = "iii-pubsub"
    Options = PubSubOptions

    @classmethod
    def check(cls, options: PubSubOptions) -> None:
        adapter_name(options.adapter, ADAPTERS, "local")
        adapter_config(options.adapter, LocalConfig)

    async def start(self) -> None:
        self.check(self.options)
        self.subscriptions = Subscriptions(self.engine)
        self.offer(
            "publish",
            answering(self._publish),
            description="Send data to all subscribers of a topic; nobody waits for them",
            request=PublishRequest,
        )
        self.offer_type(self.subscriptions.kind, aliases=("pubsub",))

    async def reconfigure(self, options: PubSubOptions) -> bool:
        """In place: the adapter is always the same, whatever it is called."""
        self.options = options
        return True

    def _publish(self, call: Call) -> Raw:
        message = read(call, PublishRequest)
        if not message.topic:
            raise BusError("Topic is not set", code="topic_not_set")
        data = bytes(message.data)
        self.subscriptions.deliver(message.topic, data, call.traceparent, call.baggage)
        return NULL
