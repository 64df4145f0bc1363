"""Payloads of routes with `input: flat`: one object that the bus could have sent as well."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from iii_engine.modules.http.payload import RAW_FIELDS
from iii_sdk.protocol import NULL

#: Names the worker that calls; what comes over HTTP comes from none.
_CALLER = "_caller_worker_id"

_fields = msgspec.json.Decoder(dict[str, Raw]).decode


def flat_payload(
    query: bytes, body: bytes, params: bytes, raw: bytes, *, method: str, path: str, headers: bytes
) -> bytes:
    """Query, then body, then path parameters, later wins; and `_http` beside them.

    All bytes are JSON, of objects except for the body. `raw` is the fields with the exact bytes of
    the body where the route wants them, which nothing that a client sends stands in for.
    Raises `msgspec.DecodeError` for a body that only a tolerant reader accepts.
    """
    merged = _fields(query)
    if memoryview(body)[0] == 0x7B:
        merged |= _fields(body)
    elif body != NULL:
        merged["body"] = Raw(body)
    merged |= _fields(params)
    merged.pop(_CALLER, None)
    merged["_http"] = Raw(
        b'{"method":%b,"path":%b,"headers":%b}'
        % (
            msgspec.json.encode(method),
            msgspec.json.encode(path),
            headers,
        )
    )
    if not raw:
        return msgspec.json.encode(merged)
    for name in RAW_FIELDS:
        merged.pop(name, None)
    return msgspec.json.encode(merged)[:-1] + raw + b"}"
