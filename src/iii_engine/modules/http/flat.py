"""Payloads of routes with `input: flat`: one object that the bus could have sent as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from iii_sdk.protocol import NULL

if TYPE_CHECKING:
    from iii_engine.modules.http.request import Request

#: Names the worker that calls; what comes over HTTP comes from none.
_CALLER = "_caller_worker_id"

_fields = msgspec.json.Decoder(dict[str, Raw]).decode


def flat_payload(request: Request) -> bytes:
    """Query, then body, then path parameters, later wins; and `_http` beside them.

    Raises `msgspec.DecodeError` for a body that only a tolerant reader accepts.
    """
    merged = _fields(request.query.last)
    if memoryview(request.body)[0] == 0x7B:
        merged |= _fields(request.body)
    elif request.body != NULL:
        merged["body"] = request.body
    merged |= _fields(request.params)
    merged.pop(_CALLER, None)
    merged["_http"] = Raw(
        b'{"method":%b,"path":%b,"headers":%b}'
        % (
            msgspec.json.encode(request.exchange.method),
            msgspec.json.encode(request.path),
            request.headers_json(),
        )
    )
    return msgspec.json.encode(merged)
