"""`iii-queue`: durable topics and named queues."""

from iii_engine.modules.queue.module import QueueModule

__all__ = ["QueueModule"]
