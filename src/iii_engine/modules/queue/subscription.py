"""The config of a `durable:subscriber` trigger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct, field
from msgspec.structs import fields

from iii_engine.core.fanout import Condition
from iii_engine.core.queue_limits import Limits, Rate
from iii_engine.core.queue_policy import Backoff, RetryPolicy
from iii_engine.core.triggers import Trigger, TriggerType
from iii_engine.modules.base import schema
from iii_engine.modules.bounds import NotNegative, Positive
from iii_engine.modules.queue.options import TopicDefaults
from iii_engine.modules.queue.settings import Settings
from iii_sdk.errors import BusError
from iii_sdk.protocol import NULL, Id, is_null


class SubscriptionConfig(Struct, rename="camel"):
    """How one function handles the jobs of a topic; what is absent comes from the adapter config.

    `type` `fifo` runs one job at a time, in order; with a `concurrency` one of each key. Times end
    in their unit; `visibilityTimeout` is in seconds. Snake case is accepted as well.
    """

    #: `fifo` for one at a time and in order; anything else for several at once.
    type: str | None = None
    #: Attempts of a job before it is dead.
    max_retries: NotNegative | None = None
    #: Jobs at a time.
    concurrency: Positive | None = None
    #: Seconds that a handler may take for a job, until somebody else gets it; 0 for no bound.
    visibility_timeout: float | None = None
    #: Seconds that each job waits before it runs.
    delay_seconds: Annotated[float, Meta(ge=0, le=365 * 24 * 3600)] | None = None
    #: How the pause before another attempt grows.
    backoff_type: Backoff | None = None
    #: The first such pause.
    backoff_delay_ms: NotNegative | None = None
    #: The longest such pause.
    max_delay_ms: NotNegative | None = None
    #: Dead letters that are kept; beyond that the oldest goes.
    dead_letter_max: NotNegative | None = None
    #: How long a job waits until it counts as one with a priority higher by one.
    priority_aging_ms: NotNegative | None = None
    #: Jobs of one key at a time; 0 for any number.
    key_concurrency: NotNegative = 0
    #: Jobs of one key that start in each period; 0 for any number.
    key_rate_limit: NotNegative = 0
    #: That period.
    key_rate_period_ms: Positive = 1000

    def settings(self, defaults: TopicDefaults) -> Settings:
        """How the jobs are handled."""
        fifo = self.type == "fifo" if self.type is not None else defaults.mode == "fifo"
        concurrency = self.concurrency or (1 if fifo else defaults.concurrency)
        rate = Rate(self.key_rate_limit, self.key_rate_period_ms) if self.key_rate_limit else None
        usual = Settings()
        return Settings(
            concurrency=concurrency,
            policy=RetryPolicy(
                attempts=_given(self.max_retries, defaults.max_attempts),
                backoff_ms=_given(self.backoff_delay_ms, defaults.backoff_ms),
                backoff=self.backoff_type or "exponential",
                max_delay_ms=_given(self.max_delay_ms, usual.policy.max_delay_ms),
            ),
            limits=Limits(
                1 if fifo else self.key_concurrency,
                rate,
                ordered=fifo,
                single=fifo and concurrency == 1,
            ),
            visibility_timeout_ms=round((self.visibility_timeout or 0) * 1000),
            priority_aging_ms=_given(self.priority_aging_ms, usual.priority_aging_ms),
            delay_ms=round((self.delay_seconds or 0) * 1000),
            dead_letter_max=_given(self.dead_letter_max, usual.dead_letter_max),
        )


class SubscriberConfig(Condition):
    """A function of a topic. `queue_config` that is no object is ignored."""

    topic: Id = ""
    queue_config: Raw = field(default_factory=lambda: NULL)


class SubscriberSchema(Condition):
    """`SubscriberConfig` as it is shown."""

    #: Whose jobs the function gets.
    topic: Id = ""
    #: How it handles them.
    queue_config: SubscriptionConfig | None = None


def subscriber_type(
    bind: Callable[[Trigger], None], unbind: Callable[[Trigger], None]
) -> TriggerType:
    """`durable:subscriber`, wherever the jobs are kept."""
    return TriggerType(
        "durable:subscriber",
        "Calls a function with what is published on a topic, at least once",
        schema(SubscriberSchema),
        schema(Any),
        bind=bind,
        unbind=unbind,
    )


def _given(value: int | None, default: int) -> int:
    return default if value is None else value


_CAMEL: Final = {info.name: info.encode_name for info in fields(SubscriptionConfig)}


def read_config(config: Raw) -> tuple[SubscriberConfig, SubscriptionConfig]:
    """Raises `BusError` that names the wrong field."""
    try:
        read = msgspec.json.decode(b"{}" if is_null(config) else config, type=SubscriberConfig)
        queue_config = _subscription(read.queue_config)
    except msgspec.DecodeError as error:
        text = f"config of a durable:subscriber trigger: {error}"
        raise BusError(text, code="invalid_config") from None
    if not read.topic:
        text = "config of a durable:subscriber trigger: $.topic is empty"
        raise BusError(text, code="topic_not_set")
    return read, queue_config


def _subscription(config: Raw) -> SubscriptionConfig:
    if not bytes(config).lstrip().startswith(b"{"):
        return SubscriptionConfig()
    members = msgspec.json.decode(config, type=dict[str, Raw])
    named = {_CAMEL.get(name, name): value for name, value in members.items()}
    return msgspec.json.decode(msgspec.json.encode(named), type=SubscriptionConfig)
