"""Config of the adapter `nats` of `iii-queue`."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from iii_engine.modules.queue.options import TopicDefaults
from iii_engine.modules.queue.refusals import Refusals

#: Limits of groups need one place that knows all jobs of a group.
REFUSALS: Final = Refusals(
    "nats", ("priority", "debounce_ms"), ("key_concurrency", "key_rate_limit")
)


class JetConfig(TopicDefaults, forbid_unknown_fields=True, kw_only=True):
    """Config of the adapter `nats` (an extension): NATS with JetStream."""

    #: Where it is; several addresses of one cluster are separated by commas.
    nats_url: str = "nats://localhost:4222"
    #: What the names of its streams and buckets begin with.
    prefix: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+$")] = "iii"
    #: On how many servers of a cluster each job is kept.
    replicas: Annotated[int, Meta(ge=1, le=5)] = 1
    #: The jobs of an engine that is lost run elsewhere after so many milliseconds.
    lease_ms: Annotated[int, Meta(ge=300)] = 10_000
