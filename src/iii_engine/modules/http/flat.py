"""Payloads of routes with `input: flat`: one object that the bus could have sent as well."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from iii_engine.modules.http.payload import Head
from iii_sdk.protocol import NULL

_fields = msgspec.json.Decoder(dict[str, Raw]).decode


def flat_payload(
    query: bytes, body: Raw, params: bytes, *, method: str, path: str, head: Head
) -> bytes:
    """Query, then body, then path parameters, later wins; and `_http` beside them."""
    merged = _fields(query)
    if memoryview(body)[0] == 0x7B:
        merged |= _fields(body)
    elif body != NULL:
        merged["body"] = body
    merged |= _fields(params)
    merged["_http"] = Raw(
        b'{"method":%b,"path":%b,"headers":%b}}'
        % (msgspec.json.encode(method), msgspec.json.encode(path), head.json)
    )
    return msgspec.json.encode(merged)
