"""Options of `iii-queue`."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct, field

from iii_engine.core.queue_limits import Limits, Rate
from iii_engine.core.queue_policy import Backoff, RetryPolicy
from iii_engine.modules.adapters import Adapter, KvConfig
from iii_engine.modules.bounds import NotNegative, Positive
from iii_engine.modules.queue.settings import Settings
from iii_sdk.errors import BusError

#: The queue that exists without being configured.
DEFAULT: Final = "default"

#: Names of adapters with their older class names.
ADAPTERS: Final = {
    "builtin": ("modules::queue::BuiltinQueueAdapter", "workers::queue::BuiltinQueueAdapter")
}


class BadQueue(BusError):
    """A queue is configured as it cannot be."""

    code = "bad_queue"


class QueueConfig(Struct, forbid_unknown_fields=True, kw_only=True):
    """A named queue. Times are in milliseconds.

    `message_group_field` is the field of the payload whose value is the job's key: with `fifo` the
    jobs of a key run one after another; with `standard` at most `key_concurrency` of a key run at
    the same time, and `key_rate_limit` of a key start per `key_rate_period_ms` (0: no limit).
    Without a key, all jobs of a standard queue share these limits.
    """

    type: str = "standard"
    message_group_field: str | None = None
    max_retries: NotNegative = 3
    concurrency: Positive = 10
    backoff_ms: NotNegative = 1000
    backoff_type: Backoff = "exponential"
    max_delay_ms: NotNegative = 3_600_000
    poll_interval_ms: NotNegative = 100
    dead_letter_max: NotNegative = 10_000
    visibility_timeout_ms: NotNegative = 0
    priority_aging_ms: NotNegative = 60_000
    key_concurrency: NotNegative = 0
    key_rate_limit: NotNegative = 0
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
        if self.type not in ("standard", "fifo"):
            raise BadQueue(
                f"Queue '{name}' has invalid type '{self.type}'. Must be 'standard' or 'fifo'"
            )
        if self.fifo and not self.message_group_field:
            raise BadQueue(f"Queue '{name}' is of type 'fifo' but 'message_group_field' is not set")


class BuiltinConfig(KvConfig, forbid_unknown_fields=True, kw_only=True):
    """Config of the adapter `builtin`; the first five are the defaults of topic subscriptions.

    `channel_size` and `poll_interval_ms` are accepted and have no effect: nothing is polled. A
    subscription whose worker is away is kept for `binding_ttl_seconds`.
    """

    max_attempts: NotNegative = 3
    backoff_ms: NotNegative = 1000
    concurrency: Positive = 10
    poll_interval_ms: NotNegative = 100
    mode: Literal["concurrent", "fifo"] = "concurrent"
    channel_size: Positive = 256
    binding_ttl_seconds: Positive = 86_400


class QueueOptions(Struct, forbid_unknown_fields=True):
    """Where the jobs are, and the named queues."""

    adapter: Adapter = field(default_factory=Adapter)
    queue_configs: dict[str, QueueConfig] = {}

    @property
    def queues(self) -> dict[str, QueueConfig]:
        """The named queues, with the one that always exists."""
        return {DEFAULT: QueueConfig()} | self.queue_configs
