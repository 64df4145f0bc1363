"""What `agent::chat` answers, and which HTTP answer that makes."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from iii_sdk import (
    BusError,
    InvalidInput,
    PaymentRequired,
    RateLimited,
    Timeout,
    Unavailable,
    UpstreamError,
)

#: Errors whose text was written for whoever asked; all others stay inside.
_SPEAKING: Final = frozenset({"upstream_error", "not_configured"})

_REFUSALS: Final[dict[str, type[BusError]]] = {
    "injection_rejected": InvalidInput,
    "invalid_agent": InvalidInput,
    "rate_limited": RateLimited,
    "concurrency": RateLimited,
    "budget_exceeded": PaymentRequired,
    "shutting_down": Unavailable,
}


class Usage(Struct):
    """Tokens of the whole turn."""

    input: int = 0
    output: int = 0
    total: int = 0


class ChatError(Struct, rename="camel"):
    """Why there is no answer of a model; `retry_after` is in seconds."""

    code: str
    message: str = ""
    retry_after: int | None = None


class Answer(Struct, rename="camel"):
    """The part of a ChatResponse that is shown in OpenAI's form."""

    content: str = ""
    model: str | None = None
    usage: Usage | None = None
    stop_reason: str | None = None
    error: ChatError | None = None
    truncated: bool = False


def refusal_of(error: ChatError) -> BusError:
    """The refusal of a turn as an error with its HTTP status."""
    kind = _REFUSALS.get(error.code, UpstreamError)
    refusal: BusError
    if kind is RateLimited:
        refusal = RateLimited(error.message, retry_after=error.retry_after)
    else:
        refusal = kind(error.message)
    refusal.code = error.code
    return refusal


def failure_of(error: BusError) -> BusError:
    """The failure of a turn as its HTTP answer: 4xx as they are, 504 for time, else 502 or 503."""
    if error.code == "function_not_found":
        return Unavailable("a worker that is needed to answer is not running")
    if isinstance(error, Timeout):
        return Timeout("the agent did not answer in time")
    if isinstance(error, InvalidInput | RateLimited | PaymentRequired | Unavailable):
        return error
    text = error.message if error.code in _SPEAKING else "the agent failed to answer"
    return UpstreamError(text)
