"""What can go wrong with a provider, as bus errors that name the provider and never its key."""

from __future__ import annotations

import math

from agentos.workers.llm_router.endpoints import Endpoint
from agentos.workers.llm_router.keys import scrub
from iii_sdk.errors import BusError, RateLimited, Timeout, Unavailable, UpstreamError

RETRYABLE = frozenset({408, 429, 500, 502, 503, 504, 529})
SHOWN_CHARS = 500


class ProviderRefused(UpstreamError):
    """The provider answered with an error. `upstream_status` is its HTTP status."""

    def __init__(self, message: str, upstream_status: int, retry_after: float | None) -> None:
        super().__init__(message)
        self.upstream_status = upstream_status
        self.retryable = upstream_status in RETRYABLE
        self.wait_s = retry_after


class ProviderBusy(RateLimited):
    """The provider answered 429. `wait_s` is what it asked us to wait, in seconds."""

    upstream_status = 429
    retryable = True

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(
            message, retry_after=None if retry_after is None else math.ceil(retry_after)
        )
        self.wait_s = retry_after


class ProviderUnreachable(Unavailable):
    """No connection, or one that broke."""

    upstream_status = 0
    retryable = True
    wait_s: float | None = None


ProviderError = ProviderRefused | ProviderBusy | ProviderUnreachable


def refused(
    endpoint: Endpoint, status: int, text: str, retry_after: str | None = None
) -> ProviderError:
    """An error answer: status, and the first part of what the provider said."""
    shown = scrub(" ".join(text.split())[: SHOWN_CHARS * 2], endpoint.key)[:SHOWN_CHARS]
    message = f"{endpoint.label} API error {status}: {shown}"
    wait = _seconds(retry_after)
    if status == 429:
        return ProviderBusy(message, wait)
    if status in (401, 403) and endpoint.name.env_keys[0]:
        message += f" (check {endpoint.name.env_keys[0]})"
    return ProviderRefused(message, status, wait)


def unreachable(endpoint: Endpoint, cause: BaseException) -> ProviderUnreachable:
    """A connection that failed or broke; only scheme, host and port are shown."""
    detail = scrub(str(cause), endpoint.key)[:SHOWN_CHARS] or type(cause).__name__
    return ProviderUnreachable(f"{endpoint.label} at {endpoint.host} cannot be reached: {detail}")


def too_slow(label: str, seconds: float) -> Timeout:
    """The time given for the whole completion is over."""
    return Timeout(f"{label} did not answer within {seconds:g} s")


def malformed(endpoint: Endpoint, what: str) -> BusError:
    """An answer that is not what the format promises."""
    return ProviderRefused(f"{endpoint.label} sent {what}", 0, None)


def unfinished(endpoint: Endpoint, *, begun: bool) -> BusError:
    """A stream that is over without its end: broken off, or no event stream at all."""
    if begun:
        return ProviderRefused(f"{endpoint.label} broke off its answer", 502, None)
    return malformed(endpoint, "an answer without events in place of a stream")


def _seconds(header: str | None) -> float | None:
    """A `Retry-After` in seconds; the date form is not used by any provider we know."""
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None
