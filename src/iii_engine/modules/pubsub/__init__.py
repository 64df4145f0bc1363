"""Messages by topic: to everybody who listens now, stored nowhere."""

from iii_engine.modules.pubsub.module import PubSubModule

__all__ = ["PubSubModule"]
