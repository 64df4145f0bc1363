"""How the jobs of one queue are handled, whatever they came from."""

from __future__ import annotations

from msgspec import Struct, field

from iii_engine.core.queue_limits import Limits
from iii_engine.core.queue_policy import RetryPolicy


class Settings(Struct, frozen=True, kw_only=True):
    """`concurrency` jobs run at the same time, each key within its `limits`. Times in milliseconds.

    A lease ends after `visibility_timeout_ms` unless a heartbeat renews it; 0: with the call.
    `delay_ms` holds every new job back. The oldest of more than `dead_letter_max` dead jobs go.
    """

    concurrency: int = 10
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    limits: Limits = field(default_factory=Limits)
    visibility_timeout_ms: int = 0
    priority_aging_ms: int = 60_000
    delay_ms: int = 0
    dead_letter_max: int = 10_000
