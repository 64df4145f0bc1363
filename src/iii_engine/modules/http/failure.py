"""Error answers: their bodies, and what is logged about them."""

from __future__ import annotations

import logging
from typing import Final, Literal, TypeAlias

import msgspec

from iii_engine.modules.http.redaction import headers_for_log, target_for_log
from iii_engine.net.http_exchange import Exchange
from iii_sdk.errors import error_from_wire
from iii_sdk.protocol import ErrorBody

log = logging.getLogger("iii.http")

#: Codes that say no more than "it raised": their messages may hold details of the code.
_CRASHES = frozenset({"", "invocation_failed", "UNKNOWN"})
CRASH_MESSAGE = "internal server error"

#: The program of the handler went away.
STOPPED = ErrorBody("invocation_stopped", "Invocation stopped")
#: Who would answer is lost, and mostly back soon.
GONE_FOR_NOW = (STOPPED.code, "engine_unreachable")

#: Header of an answer whose worker has just gone: it mostly is back at once.
RETRY_SOON = b"retry-after: 1\r\n"


#: Forms that a route may want its errors in, other than our own (`{"error": "…"}`).
ErrorFormat: TypeAlias = Literal["openai"]

_OPENAI_CODES: Final = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
    422: "condition_not_met",
    503: "unavailable",
    504: "timeout",
}


def formed(body: bytes, status: int, form: ErrorFormat | None) -> bytes:
    """An error's body in the form of its route. `openai` is what clients of that API read."""
    if form is None:
        return body
    fields = msgspec.json.decode(body, type=dict[str, object])
    error = {
        "message": fields.pop("error"),
        "type": "invalid_request_error" if status < 500 else "server_error",
        "param": None,
        "code": fields.pop("code", None) or _OPENAI_CODES.get(status, "internal_error"),
    }
    return msgspec.json.encode({"error": {**error, **fields}})


def body_of(message: str, **more: object) -> bytes:
    return msgspec.json.encode({"error": message, **more})


def logged(exchange: Exchange, function_id: str, error: ErrorBody, error_id: str) -> bytes:
    """Log a failure of a function; returns the body for the client, which names the log line."""
    log.error(
        "%s %s: function %s failed (error_id %s): %s: %s%s",
        exchange.method,
        target_for_log(exchange.target),
        function_id,
        error_id,
        error.code,
        error.message,
        f"\n{error.stacktrace}" if error.stacktrace else "",
    )
    if log.isEnabledFor(logging.DEBUG):
        headers = {n.decode("latin-1"): v.decode("latin-1") for n, v in exchange.headers}
        log.debug("headers of %s: %s", error_id, headers_for_log(headers))
    message = CRASH_MESSAGE if error.code in _CRASHES else error.message
    return body_of(message, error_id=error_id)


def flat_status(code: str) -> int:
    """Status of a route with `input: flat` for an error code."""
    if code == "function_not_found":
        return 500
    if code == "NOT_FOUND" or code.endswith("_not_found"):
        return 404
    if code == "deserialization_error" or code.startswith("validation_"):
        return 400
    if code in ("FORBIDDEN", "UNAUTHORIZED"):
        return 403 if code == "FORBIDDEN" else 401
    return error_from_wire(code, "").status
