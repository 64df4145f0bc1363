"""What a handler is given: one JSON object, joined from pieces that are already bytes."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from msgspec import Raw, Struct

from iii_engine.core.foreign_json import foreign_json
from iii_engine.modules.http.routes import METHODS, Route
from iii_sdk.protocol import NULL, ChannelRef
from iii_sdk.traceparent import is_traceparent

_encode = msgspec.json.encode

#: Fields of a query string beyond this number are refused.
MAX_QUERY_FIELDS = 1000

EMPTY = b"{}"


class TriggerInfo(Struct):
    """Which trigger called."""

    type: str
    path: str
    method: str


class HttpCall(Struct):
    """What the handler of an `http` trigger gets. For documentation: it is never built as such."""

    path: str  # as registered
    raw_path: str  # as requested
    method: str
    path_params: dict[str, str]
    query_params: dict[str, str]  # last value of each key
    query_params_multi: dict[str, list[str]]
    query_string: str
    headers: dict[str, str]  # lower-case names
    body: Any  # parsed JSON, else null
    trigger: TriggerInfo
    context: dict[str, Any]  # what middleware contributed
    client_ip: str
    remote_addr: str
    scheme: str
    request_body: ChannelRef
    response: ChannelRef
    raw_body: str | None = None  # JSON exactly as received; with `raw_body: true` in the config
    raw_body_base64: str | None = None  # likewise, the bytes of what is not JSON or is compressed


class Head(Struct, gc=False):
    """The headers of a request, read once. `json` lacks its closing brace.

    A traceparent that is not a valid one counts as none.
    """

    json: bytes
    request_id: str | None
    traceparent: str | None
    baggage: str | None
    origin: bytes | None
    forwarded_for: str | None
    forwarded_proto: str | None
    host: str | None
    user_agent: str | None


def read_head(headers: list[tuple[bytes, bytes]], request_id_header: str) -> Head:
    """Merge repeated headers and pick out those that the module itself uses."""
    merged: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name = raw_name.decode("latin-1")
        value = raw_value.decode("latin-1")
        if name in merged:
            value = merged[name] + ("; " if name == "cookie" else ", ") + value
        merged[name] = value
    request_id = _usable_id(merged.get(request_id_header))
    if request_id is None:
        merged.pop(request_id_header, None)  # the engine gives it one
    origin, trace = merged.get("origin"), merged.get("traceparent")
    return Head(
        _encode(merged)[:-1],
        request_id,
        trace if trace is not None and is_traceparent(trace) else None,
        merged.get("baggage"),
        None if origin is None else origin.encode("latin-1"),
        merged.get("x-forwarded-for"),
        merged.get("x-forwarded-proto"),
        merged.get("host"),
        merged.get("user-agent"),
    )


def _usable_id(value: str | None) -> str | None:
    if value and len(value) <= 200 and value.isascii() and value.isprintable():
        return value
    return None


class Query(Struct, gc=False):
    """A query string read as JSON: `last` value per key, and the `fields` of a payload about it,
    with the name of the one that comes next."""

    last: bytes
    fields: bytes


NO_QUERY = Query(EMPTY, b'"query_params":{},"query_params_multi":{},"query_string":"","raw_path":')


def read_query(text: str) -> Query:
    """Raises `ValueError` when there are too many fields."""
    if not text:
        return NO_QUERY
    last: dict[str, str] = {}
    every: dict[str, list[str]] = {}
    for key, value in _fields(text):
        last[key] = value
        every.setdefault(key, []).append(value)
    known = _encode(last)
    return Query(
        known,
        b'"query_params":%b,"query_params_multi":%b,"query_string":%b,"raw_path":'
        % (known, _encode(every), _encode(text)),
    )


def _fields(text: str) -> list[tuple[str, str]]:
    if "%" in text or "+" in text:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
    # Nothing is encoded, as mostly; then this is the same, at a fifth of the cost.
    if text.count("&") >= MAX_QUERY_FIELDS:
        raise ValueError("too many fields")
    return [(name, value) for name, _, value in (it.partition("=") for it in text.split("&") if it)]


def method_field(method: str) -> bytes:
    """The field of a payload about the method of the request."""
    return _METHOD_FIELDS.get(method) or f',"method":"{method}",'.encode()


_METHOD_FIELDS = {method: f',"method":"{method}",'.encode() for method in METHODS}


def read_params(route: Route, values: list[str]) -> bytes:
    return _encode(dict(zip(route.names, values, strict=True))) if values else EMPTY


def is_json_type(content_type: bytes) -> bool:
    """Whether a body of this (lower-case) type is parsed."""
    if b"application/json" in content_type:
        return True
    return content_type.partition(b";")[0].strip().endswith(b"+json")


def read_json(body: bytes) -> Raw:
    """The body as JSON, checked but not decoded; nothing is null. Raises `ValueError`."""
    if not body or body.isspace():
        return NULL
    return foreign_json(body)


#: What a payload names the exact bytes of a body.
RAW_FIELDS: Final = ("raw_body", "raw_body_base64")


def is_encoded(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether the bytes of a body are not those of its content type: compressed, mostly."""
    return any(
        name == b"content-encoding" and value.strip().lower() not in (b"", b"identity")
        for name, value in headers
    )


def raw_fields(body: bytes, is_json: bool) -> bytes:
    """The exact bytes received, for handlers that check signatures."""
    if is_json:
        return b',"raw_body":' + _encode(body.decode("utf-8", "replace"))
    return b',"raw_body_base64":"%b"' % b64encode(body)


#: Of a request without a body.
NOTHING_RAW: Final = raw_fields(b"", True)
