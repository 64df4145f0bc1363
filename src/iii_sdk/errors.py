"""Errors with a bus code and an HTTP status.

A handler raises one of these; on the bus it becomes `{code, message}`, over HTTP the status with
`{"error": message, "code": code}`. Any other exception is an internal failure whose text stays
inside the worker's log.
"""

from __future__ import annotations

import math
from typing import ClassVar


class BusError(Exception):
    """A failed call. `code` is what travels; `status` is what HTTP shows.

    `retry_after` travels too: in whole seconds, over HTTP the header `Retry-After`. So does
    `details`, for programs.
    """

    code: str = "invocation_failed"
    retry_after: int | None = None
    details: dict[str, str] | None = None
    status: ClassVar[int] = 500

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        function_id: str | None = None,
        stacktrace: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        self.function_id = function_id
        self.stacktrace = stacktrace

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class InvalidInput(BusError):
    """Missing or malformed argument; the message names the field by its path."""

    code = "invalid_input"
    status = 400


class Unauthorized(BusError):
    code = "unauthorized"
    status = 401


class PaymentRequired(BusError):
    """A budget is used up."""

    code = "budget_exceeded"
    status = 402


class Forbidden(BusError):
    code = "forbidden"
    status = 403


class NotFound(BusError):
    code = "not_found"
    status = 404


class Conflict(BusError):
    code = "conflict"
    status = 409


class TooLarge(BusError):
    code = "too_large"
    status = 413


class RateLimited(BusError):
    """Too many requests for now."""

    code = "rate_limited"
    status = 429

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UpstreamError(BusError):
    """A remote service answered with an error."""

    code = "upstream_error"
    status = 502


class Unavailable(BusError):
    """A needed program or service is absent; the message says what to install or start."""

    code = "unavailable"
    status = 503


class Timeout(BusError):
    code = "timeout"
    status = 504


class NotConfigured(BusError):
    """A secret or a setting is missing; the message names it."""

    code = "not_configured"
    status = 500


_BY_CODE: dict[str, type[BusError]] = {
    kind.code: kind
    for kind in (
        InvalidInput,
        Unauthorized,
        PaymentRequired,
        Forbidden,
        NotFound,
        Conflict,
        TooLarge,
        RateLimited,
        UpstreamError,
        Unavailable,
        Timeout,
        NotConfigured,
    )
}
_BY_CODE["FORBIDDEN"] = Forbidden
_BY_CODE["TIMEOUT"] = Timeout


def error_from_wire(
    code: str,
    message: str,
    function_id: str | None = None,
    stacktrace: str | None = None,
    retry_after: float | None = None,
    details: dict[str, str] | None = None,
) -> BusError:
    """The error a caller sees for an error body it received; the wire code is kept."""
    kind = _BY_CODE.get(code, BusError)
    error = kind(message)
    error.code = code
    error.function_id = function_id
    error.stacktrace = stacktrace
    error.details = details
    error.retry_after = None if retry_after is None else max(0, math.ceil(retry_after))
    return error
