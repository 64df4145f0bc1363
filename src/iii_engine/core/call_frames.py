"""The two frames of a call as bytes: the one that asks the callee, the one that answers the caller.

`Router` writes the commonest forms of both by itself; these write every form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from iii_sdk.protocol import NULL, ErrorBody, is_null

if TYPE_CHECKING:
    from iii_engine.core.router import Call
    from iii_engine.core.sessions import Session

_encode = msgspec.json.encode


def invocation_frame(call: Call, id_json: bytes) -> bytes:
    """The bytes of an `invokefunction`; `id_json` is the function's id as the callee knows it."""
    trace = f'"traceparent":"{call.traceparent}",' if call.traceparent else ""
    parts: list[Raw | bytes | memoryview] = [
        f'{{"type":"invokefunction","invocation_id":"{call.id}",{trace}"function_id":'.encode(),
        id_json,
    ]
    if call.baggage is not None:
        parts += (b',"baggage":', _encode(call.baggage))
    if not is_null(call.metadata):
        parts += (b',"metadata":', call.metadata)
    parts += (b',"data":', call.data, call.ending)
    return b"".join(parts)


def answer_frame(call: Call, wanted: str, result: Raw | bytes, error: ErrorBody | None) -> bytes:
    """The answer to a call as its caller gets it, who asked for the invocation id `wanted`."""
    # What no function answered is not a span of its own to the caller.
    trace = call.caller_trace if call.function is None else call.traceparent or None
    return result_frame(wanted, call.function_id, result, error, trace, call.baggage)


def result_frame(
    invocation_id: str,
    function_id: str,
    result: Raw | bytes,
    error: ErrorBody | None = None,
    traceparent: str | None = None,
    baggage: str | None = None,
) -> bytes:
    """The bytes of an `invocationresult`; an absent or null result is left out."""
    head = b'{"type":"invocationresult","invocation_id":%b,"function_id":%b' % (
        _encode(invocation_id),
        _encode(function_id),
    )
    parts: list[Raw | bytes] = [head]
    if traceparent is not None:
        parts.append(b',"traceparent":"%b"' % traceparent.encode())
    if baggage is not None:
        parts += (b',"baggage":', _encode(baggage))
    if error is not None:
        parts += (b',"error":', _encode(error))
    elif result != NULL:
        parts += (b',"result":', result)
    parts.append(b"}")
    return b"".join(parts)


def too_large(size: int, receiver: Session) -> str:
    """Why a message of `size` bytes does not go to that peer."""
    return (
        f"the message has {size} bytes and {receiver.name} accepts {receiver.max_message}; "
        "send large data through a channel"
    )
