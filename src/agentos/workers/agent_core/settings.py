"""The numbers of the agent loop, and what the environment may change of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

GATE_SECONDS: Final = 10.0
#: The sync tier of approvals waits for a person up to 60 s.
APPROVAL_SECONDS: Final = 65.0
LLM_SECONDS: Final = 120.0
TOOL_SECONDS: Final = 120.0
RECALL_SECONDS: Final = 30.0
PROFILE_SECONDS: Final = 5.0
UPKEEP_SECONDS: Final = 30.0

#: Calls of one round that run at the same time.
MAX_CONCURRENT_CALLS: Final = 8
#: Rounds without one well-formed call before the turn is given up.
MAX_MALFORMED_ROUNDS: Final = 3
RISK_LIMIT: Final = 0.5
RECALL_LIMIT: Final = 20
RECALL_CACHE_MS: Final = 30_000
PROFILE_CACHE_MS: Final = 60_000
#: Turns of a stored session that are looked at, newest last.
HISTORY_TURNS: Final = 40
CONTEXT_WINDOW: Final = 200_000
CONTEXT_EVERY_ROUNDS: Final = 10
HEALTHY_CONTEXT: Final = 60


@dataclass(frozen=True)
class Settings:
    """`strict_guards`: a guard that is not deployed refuses instead of being skipped."""

    chat_seconds: float = 300.0
    max_iterations: int = 50
    strict_guards: bool = False

    @classmethod
    def from_environment(cls) -> Settings:
        """`AGENTOS_CHAT_TIMEOUT_MS`, `AGENTOS_MAX_ITERATIONS`, `AGENTOS_STRICT_GUARDS`.

        Raises `ValueError` when one of the numbers is not a positive number.
        """
        return cls(
            chat_seconds=_number("AGENTOS_CHAT_TIMEOUT_MS", 300_000) / 1000,
            max_iterations=_number("AGENTOS_MAX_ITERATIONS", 50),
            strict_guards=os.environ.get("AGENTOS_STRICT_GUARDS", "").lower() in ("1", "true"),
        )


def _number(name: str, default: int) -> int:
    text = os.environ.get(name)
    if not text:
        return default
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(f"{name}: expected a positive whole number, got {text!r}")
    return int(text)
