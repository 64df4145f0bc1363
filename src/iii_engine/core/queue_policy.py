"""How often a job is tried, and how long it waits before the next time."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

Backoff: TypeAlias = Literal["exponential", "fixed", "linear"]


class RetryPolicy(Struct, frozen=True):
    """`attempts` counts all deliveries; there is always one. Times are in milliseconds."""

    attempts: int = 3
    backoff_ms: int = 1000
    backoff: Backoff = "exponential"
    max_delay_ms: int = 3_600_000

    def gives_up(self, attempts_made: int) -> bool:
        """Whether that many failures were enough."""
        return attempts_made >= self.attempts

    def delay_ms(self, attempts_made: int) -> int:
        """How long to wait after so many failures: b, 2b, 4b…; b, b, b…; or b, 2b, 3b…"""
        match self.backoff:
            case "fixed":
                factor = 1
            case "linear":
                factor = attempts_made
            case _:
                factor = 1 << min(attempts_made - 1, 40)
        return min(self.backoff_ms * factor, self.max_delay_ms)
