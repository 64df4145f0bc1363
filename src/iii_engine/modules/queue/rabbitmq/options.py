"""Config of the adapter `rabbitmq` of `iii-queue`."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from msgspec import Meta

from iii_engine.modules.bounds import Positive
from iii_engine.modules.queue.options import BadQueue, TopicDefaults
from iii_engine.modules.queue.refusals import Refusals

REFUSALS: Final = Refusals(
    "rabbitmq",
    ("priority", "debounce_ms", "idempotency_key", "message_id"),
    ("key_concurrency", "key_rate_limit"),
)

#: Names of queues that would be those of what belongs to another queue.
TAKEN: Final = re.compile(r"::dlq$")


class RabbitConfig(TopicDefaults, forbid_unknown_fields=True, kw_only=True):
    """Config of the adapter `rabbitmq`. Durable queues, persistent messages, confirmed.

    A queue or topic that is paused is paused for this engine only: others get its jobs. A job may
    run for no longer than the `consumer_timeout` of the server, which is 30 minutes by default.
    """

    #: Where it is; `amqps://` is encrypted. Passwords are never shown.
    amqp_url: str = "amqp://localhost:5672"
    #: Jobs of a queue that an engine has at the same time, running or about to; at least as many
    #: as may run.
    prefetch_count: Positive = 10
    #: `fifo`: a subscriber of a topic gets one message after another, as with the mode `fifo`.
    queue_mode: Literal["standard", "fifo"] = "standard"
    #: What the names of its exchanges and queues begin with.
    prefix: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+$", max_length=100)] = "iii"

    def __post_init__(self) -> None:
        if self.queue_mode == "fifo":
            self.mode = "fifo"


def check_name(name: str) -> None:
    """Raises `BadQueue` for a name that belongs to another queue."""
    if TAKEN.search(name):
        raise BadQueue(f"$.queue_configs.{name}: RabbitMQ needs that name for another queue")
