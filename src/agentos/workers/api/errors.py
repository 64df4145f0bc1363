"""Error bodies: OpenAI's form for `/v1`, our own elsewhere."""

from __future__ import annotations

import re
from typing import Final

from iii_sdk import BusError, InvalidInput, NotFound, PaymentRequired, RateLimited, Unauthorized

_PATH: Final = re.compile(r"\$\.(?P<path>\S+): ")

_KEY_HINT: Final = "Incorrect or missing API key: send the header 'Authorization: Bearer <key>'."


def openai_error(error: BusError) -> dict[str, object]:
    """The body of an error: `{"error": {message, type, param, code}}`."""
    message, code = error.message, error.code
    if isinstance(error, Unauthorized):
        message, code = _KEY_HINT, "invalid_api_key"
    found = _PATH.match(message) if isinstance(error, InvalidInput) else None
    return {
        "error": {
            "message": message,
            "type": _type_of(error),
            "param": found["path"] if found else None,
            "code": code,
        }
    }


def _type_of(error: BusError) -> str:
    if isinstance(error, RateLimited):
        return "rate_limit_error"
    if isinstance(error, PaymentRequired):
        return "insufficient_quota"
    if isinstance(error, InvalidInput | Unauthorized | NotFound):
        return "invalid_request_error"
    return "server_error"


def rest_error(error: BusError) -> dict[str, object]:
    """The body of an error on the routes of our own: `{"error", "code"}`; the door says less."""
    if isinstance(error, RateLimited):
        return {"error": error.message, "code": error.code, "retryAfter": error.retry_after}
    if isinstance(error, Unauthorized) or error.code == "not_configured":
        return {"error": error.message}
    return {"error": error.message, "code": error.code}
