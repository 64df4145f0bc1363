"""HTTP calls of functions: the request that the engine wraps into the payload, and the envelope
around the answer. A handler sees neither."""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from iii_sdk.bindings import Route
from iii_sdk.codec import dump, encode
from iii_sdk.errors import BusError, InvalidInput, NotConfigured, Unauthorized
from iii_sdk.handlers import Payload, is_mapping, is_record
from iii_sdk.protocol import NULL, ChannelRef, is_null
from iii_sdk.streams import Response

KEY_VARIABLE: Final = "AGENTOS_API_KEY"


class _Trigger(Struct):
    type: str = ""
    path: str = ""
    method: str = ""


class Envelope(Struct):
    """The payload of an HTTP trigger."""

    trigger: _Trigger | None = None
    path: str = ""
    raw_path: str | None = None
    method: str = ""
    query_params: dict[str, str] = {}
    path_params: dict[str, str] = {}
    headers: dict[str, str] | None = None
    body: Raw = NULL
    raw_body: str | None = None
    raw_body_base64: str | None = None
    client_ip: str | None = None
    request_body: ChannelRef | None = None
    response: ChannelRef | None = None
    context: Raw = NULL


class HttpRequest:
    """The request behind a call. Header names are lower-case; `route` is the path as registered."""

    __slots__ = (
        "authenticated",
        "body_ref",
        "client_ip",
        "headers",
        "method",
        "path",
        "path_params",
        "query",
        "raw_body",
        "response_ref",
        "route",
    )

    def __init__(self, envelope: Envelope) -> None:
        trigger = envelope.trigger or _Trigger()
        self.route = trigger.path or envelope.path
        self.method = (envelope.method or trigger.method).upper()
        self.path = envelope.raw_path or envelope.path or trigger.path
        self.headers = envelope.headers or {}
        self.query = envelope.query_params
        self.path_params = envelope.path_params
        self.client_ip = envelope.client_ip
        self.authenticated = False
        #: The body's bytes, on routes made with `raw_body=True`.
        self.raw_body = _raw_body(envelope)
        #: Where a body that is not JSON can be read: `await bus.open_reader(ref)`.
        self.body_ref = envelope.request_body
        #: Where a streamed answer is written.
        self.response_ref = envelope.response


def _raw_body(envelope: Envelope) -> bytes | None:
    if envelope.raw_body is not None:
        return envelope.raw_body.encode()
    if envelope.raw_body_base64 is not None:
        return base64.b64decode(envelope.raw_body_base64)
    return None


_decode: Final = msgspec.json.Decoder(Envelope).decode
_PARTS: Final = (b'"body"', b'"query_params"', b'"path_params"')


def read_envelope(data: Raw | bytes, payload: Payload | None) -> Envelope | None:
    """The HTTP request in a payload, or None when the payload is a plain one.

    An object is a request when its `trigger` says so. In-process callers send no more than
    `{headers, body}`; that counts too, unless the handler's payload has a field `headers` itself.
    """
    text = bytes(data)
    if b'"trigger"' not in text and b'"headers"' not in text:
        return None
    try:
        envelope = _decode(text)
    except msgspec.DecodeError:
        return None
    if envelope.trigger is not None and envelope.trigger.type == "http":
        return envelope
    own_headers = payload is not None and payload.declares("headers")
    if envelope.headers is None or own_headers or not any(part in text for part in _PARTS):
        return None
    return envelope


def authenticate(request: HttpRequest, route: Route) -> None:
    """Check the bearer key as the route asks. Raises `Unauthorized` or `NotConfigured`."""
    key = os.environ.get(KEY_VARIABLE, "")
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    request.authenticated = (
        bool(key)
        and scheme.lower() == "bearer"
        and hmac.compare_digest(given.strip().encode(), key.encode())
    )
    if route.auth == "required" and not request.authenticated:
        if not key:
            raise NotConfigured(f"{KEY_VARIABLE} not configured")
        raise Unauthorized("Unauthorized")


def read_payload(payload: Payload, envelope: Envelope) -> Any:
    """Query, overlaid by the body when it is an object, overlaid by path parameters.

    Raises `InvalidInput` that names the field.
    """
    body = envelope.body
    if not envelope.query_params and not envelope.path_params:
        return payload.read(body)
    if not (payload.kind is Any or is_record(payload.kind) or is_mapping(payload.kind)):
        return payload.read(body)
    merged: dict[str, object] = payload.coerced(envelope.query_params)
    if not is_null(body):
        value = msgspec.json.decode(body)
        if not isinstance(value, dict):
            raise InvalidInput("$: expected an object as the request body")
        merged.update(value)
    merged.update(payload.coerced(envelope.path_params))
    return payload.convert(merged)


# -- answers -----------------------------------------------------------------------------------


def envelope_of(result: object, route: Route, headers: Mapping[str, str]) -> bytes:
    """The envelope of a handler's result; `headers` are the worker's own."""
    if not isinstance(result, Response):
        return _envelope(route.status, headers, b"body", dump(result))
    all_headers = {**headers, **result.headers}
    if isinstance(result.body, bytes):
        if not any(name.lower() == "content-type" for name in all_headers):
            all_headers["content-type"] = "application/octet-stream"
        return _envelope(result.status, all_headers, b"body_base64", encode(result.body))
    return _envelope(result.status, all_headers, b"body", dump(result.body))


def envelope_of_error(error: BusError, route: Route, headers: Mapping[str, str]) -> bytes:
    """The envelope of an error, in the route's own form where it has one."""
    shown = dict(headers)
    if error.retry_after is not None:
        shown["retry-after"] = str(error.retry_after)
    return _envelope(status_of(error), shown, b"body", encode(error_body(error, route)))


def error_body(error: BusError, route: Route) -> object:
    """The JSON body of an error."""
    shown = public_error(error)
    if route.error_body is not None:
        return route.error_body(shown)
    if is_auth_refusal(shown):
        return {"error": shown.message}
    return {"error": shown.message, "code": shown.code}


def is_auth_refusal(error: BusError) -> bool:
    """Refused at the door: such bodies carry the message only."""
    return isinstance(error, Unauthorized) or (
        isinstance(error, NotConfigured) and error.message.startswith(KEY_VARIABLE)
    )


def public_error(error: BusError) -> BusError:
    """What a client may see: the failure of some other function is an internal matter."""
    if error.code == "invocation_failed":
        return BusError("internal server error", code="internal")
    return error


#: Failures of the bus itself, which are no classes of their own.
_STATUS_BY_CODE: Final = {
    "function_not_found": 503,
    "invocation_stopped": 503,
    "engine_unreachable": 503,
    "worker_overloaded": 503,
    "payload_too_large": 413,
}


def status_of(error: BusError) -> int:
    return _STATUS_BY_CODE.get(error.code, error.status)


def _envelope(status: int, headers: Mapping[str, str], body_key: bytes, body: bytes) -> bytes:
    if not headers:
        return b'{"status_code":%d,"%b":%b}' % (status, body_key, body)
    return b'{"status_code":%d,"headers":%b,"%b":%b}' % (status, encode(headers), body_key, body)
