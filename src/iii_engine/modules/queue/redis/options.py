"""Config of the adapter `redis` of `iii-queue`."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from iii_engine.modules.queue.options import TopicDefaults
from iii_engine.modules.queue.refusals import Refusals

#: A list has one order.
REFUSALS: Final = Refusals("redis", ("priority",), ("key_rate_limit",))


class RedisQueueConfig(TopicDefaults, forbid_unknown_fields=True, kw_only=True):
    """Config of the adapter `redis`. The server is one, or a primary with replicas of its own."""

    #: Where it is; `rediss://` is encrypted. Passwords are never shown.
    redis_url: str = "redis://localhost:6379"
    #: The jobs of an engine that is lost run elsewhere after so many milliseconds.
    lease_ms: Annotated[int, Meta(ge=300)] = 10_000
