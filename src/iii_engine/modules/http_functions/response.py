"""What a response means for the call."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from msgspec import Raw, Struct

from iii_engine.core.foreign_json import foreign_json
from iii_engine.net.client.incoming import Response
from iii_sdk.errors import BusError
from iii_sdk.protocol import NULL


class _Error(Struct):
    code: str | None = None
    message: str | None = None


class _Failure(Struct):
    error: _Error


def result(response: Response) -> Raw:
    """The result of the call as JSON bytes. Raises `BusError` for a failure."""
    if not 200 <= response.status < 300:
        raise _failure(response)
    body = response.body.strip()
    if not body:
        return NULL
    try:
        return foreign_json(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BusError("the response body is not JSON", code="invalid_response") from None
    except ValueError as error:
        text = f"the response body cannot be carried: {error}"
        raise BusError(text, code="invalid_response") from None


def _failure(response: Response) -> BusError:
    try:
        error = msgspec.json.decode(response.body, type=_Failure).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        status = f"HTTP {response.status} {response.reason.strip() or _phrase(response.status)}"
        return BusError(status.strip(), code="http_error")
    return BusError(error.message or "HTTP request failed", code=error.code or "http_error")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
