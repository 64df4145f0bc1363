"""Options of `iii-queue`."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct, field

from iii_engine.core.queue_limits import Limits, Rate
from iii_engine.core.queue_policy import Backoff, RetryPolicy
from iii_engine.modules.adapters import (
    Adapter,
    BridgeConfig,
    adapter_config,
    adapter_name,
)
from iii_engine.modules.bounds import NotNegative, Positive
from iii_engine.modules.queue.settings import Settings
from iii_sdk.errors import BusError

#: The queue that exists without being configured.
DEFAULT: Final = "default"

#: Names of adapters with their older class names.
ADAPTERS: Final = {
    "builtin": ("modules::queue::BuiltinQueueAdapter", "workers::queue::BuiltinQueueAdapter"),
    "redis": ("modules::queue::RedisAdapter", "workers::queue::RedisAdapter"),
    "nats": (),
    "rabbitmq": ("modules::queue::RabbitMQAdapter", "workers::queue::RabbitMQAdapter"),
    "bridge": ("modules::queue::adapters::Bridge", "workers::queue::adapters::Bridge"),
}


class BadQueue(BusError):
    """A queue is configured as it cannot be."""

    code = "bad_queue"


class QueueConfig(Struct, forbid_unknown_fields=True, kw_only=True):
    """A named queue. Jobs without a group share the limits of a group."""

    #: `standard`, or `fifo`: the jobs of a group run one after another.
    type: str = "standard"
    #: The field of the payload whose value is the job's group; `fifo` needs it.
    message_group_field: str | None = None
    #: Attempts at a job in all; 0 is one as well.
    max_retries: NotNegative = 3
    #: Jobs that run at the same time.
    concurrency: Positive = 10
    #: The pause after the first failure, in milliseconds.
    backoff_ms: NotNegative = 1000
    #: Pauses double (`exponential`), grow by the first one (`linear`) or stay (`fixed`).
    backoff_type: Backoff = "exponential"
    #: No pause is longer, in milliseconds.
    max_delay_ms: NotNegative = 3_600_000
    #: Accepted, without effect: nothing is polled.
    poll_interval_ms: NotNegative = 100
    #: Dead jobs that are kept; one more drops the oldest, which is counted (`dlq_dropped`).
    dead_letter_max: NotNegative = 10_000
    #: A job without an answer or heartbeat for so long failed; 0: never.
    visibility_timeout_ms: NotNegative = 0
    #: How long a job of priority 0 has waited when one of priority 1 is its equal.
    priority_aging_ms: NotNegative = 60_000
    #: Jobs of one group that run at the same time; 0: no limit.
    key_concurrency: NotNegative = 0
    #: Jobs of one group that may start in any stretch as long as the period; 0: no limit. What has
    #: started is forgotten with the engine.
    key_rate_limit: NotNegative = 0
    #: The period, in milliseconds.
    key_rate_period_ms: Positive = 1000

    @property
    def fifo(self) -> bool:
        return self.type == "fifo"

    @property
    def settings(self) -> Settings:
        """How its jobs are handled."""
        rate = Rate(self.key_rate_limit, self.key_rate_period_ms) if self.key_rate_limit else None
        return Settings(
            concurrency=self.concurrency,
            policy=RetryPolicy(
                attempts=self.max_retries,
                backoff_ms=self.backoff_ms,
                backoff=self.backoff_type,
                max_delay_ms=self.max_delay_ms,
            ),
            limits=Limits(1 if self.fifo else self.key_concurrency, rate, ordered=self.fifo),
            visibility_timeout_ms=self.visibility_timeout_ms,
            priority_aging_ms=self.priority_aging_ms,
            dead_letter_max=self.dead_letter_max,
        )

    def check(self, name: str) -> None:
        """Raises `BadQueue`."""
        if not name:
            raise BadQueue("$.queue_configs: a queue without a name")
        if self.type not in ("standard", "fifo"):
            raise BadQueue(
                f"Queue '{name}' has invalid type '{self.type}'. Must be 'standard' or 'fifo'"
            )
        if self.fifo and not self.message_group_field:
            raise BadQueue(f"Queue '{name}' is of type 'fifo' but 'message_group_field' is not set")


class TopicDefaults(Struct, forbid_unknown_fields=True, kw_only=True):
    """How the jobs of a topic are handled where its subscription does not say so."""

    #: Attempts at a message of a topic.
    max_attempts: NotNegative = 3
    #: The pause after the first failure, in milliseconds.
    backoff_ms: NotNegative = 1000
    #: Jobs that run at the same time.
    concurrency: Positive = 10
    #: Accepted, without effect: nothing is polled.
    poll_interval_ms: NotNegative = 100
    #: Whether a subscriber of a topic gets one message after another.
    mode: Literal["concurrent", "fifo"] = "concurrent"
    #: Accepted, without effect.
    channel_size: Positive = 256
    #: How long messages are kept for a subscriber whose worker is away, and jobs of named queues
    #: for a function whose worker is.
    binding_ttl_seconds: Positive = 86_400


class BuiltinConfig(TopicDefaults, forbid_unknown_fields=True, kw_only=True):
    """Config of the adapter `builtin`: its store (see `KvConfig`), and the defaults of topics."""

    #: `file_based` is on disk, `in_memory` is not.
    store_method: str = "in_memory"
    #: The directory of the engine's store.
    file_path: str = "kv_store_data.db"
    #: Accepted, without effect: what was answered is on disk.
    save_interval_ms: int = 5000


class QueueOptions(Struct, forbid_unknown_fields=True):
    """Where the jobs are, and the named queues."""

    #: Where the jobs are.
    adapter: Adapter = field(default_factory=Adapter)
    #: The named queues.
    queue_configs: dict[str, QueueConfig] = {}

    @property
    def queues(self) -> dict[str, QueueConfig]:
        """The named queues, with the one that always exists."""
        return {DEFAULT: QueueConfig()} | self.queue_configs


def bridge_url(adapter: Adapter) -> str | None:
    """The engine that keeps the jobs, when it is another one. Raises `BusError`."""
    if adapter_name(adapter, ADAPTERS, "builtin") != "bridge":
        return None
    from iii_engine.modules.bridge.link import check_url

    url = adapter_config(adapter, BridgeConfig).bridge_url
    check_url(url, "config.adapter.config.bridge_url")
    return url
