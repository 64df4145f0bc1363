"""Frames of the hot path, joined by hand: the payload is copied, never parsed."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from iii_sdk.errors import BusError
from iii_sdk.protocol import ErrorBody, JobOptions, sendable

_encode: Final = msgspec.json.Encoder().encode

VOID_ACTION: Final = b'"action":{"type":"void"},'

_ids: dict[str, bytes] = {}
_IDS_KEPT: Final = 4096
#: An error quotes so many characters of a text.
MAX_QUOTED: Final = 100


def _id_json(function_id: str) -> bytes:
    """The id as JSON text; the ids in use are few, so they are kept."""
    text = _ids.get(function_id)
    if text is None:
        if len(_ids) >= _IDS_KEPT:
            _ids.clear()
        text = _ids[function_id] = _text(function_id)
    return text


def _text(value: str | JobOptions) -> bytes:
    """As JSON. Raises `BusError` with code `serialization_error` for what is no Unicode text."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        raise BusError(
            f"{ascii(value)[:MAX_QUOTED]} has a lone surrogate, which is no text",
            code="serialization_error",
        ) from None


def enqueue_action(queue: str, options: JobOptions | None = None) -> bytes:
    """Raises `BusError` for a name or an option that is no text."""
    members = b"" if options is None else _text(options)[1:-1]
    more = b"," + members if members else b""
    return b'"action":{"type":"enqueue","queue":%b%b},' % (_text(queue), more)


def invocation(
    call_id: str | None,
    function_id: str,
    data: bytes | Raw,
    traceparent: str | None = None,
    baggage: str | None = None,
    action: bytes = b"",
    metadata: bytes | Raw = b"",
) -> bytes:
    """An `invokefunction`. `action` is one of the above; `call_id` None means nobody waits.

    Raises `BusError` for an id that is no text.
    """
    parts: list[bytes | Raw] = [b'{"type":"invokefunction",']
    if call_id is not None:
        parts.append(b'"invocation_id":"%b",' % call_id.encode())
    if traceparent is not None:
        parts.append(b'"traceparent":"%b",' % traceparent.encode())
        if baggage is not None:
            parts.append(b'"baggage":%b,' % _text(baggage))
    if action:
        parts.append(action)
    if metadata:
        parts += (b'"metadata":', metadata, b",")
    parts += (b'"function_id":', _id_json(function_id), b',"data":', data, b"}")
    return b"".join(parts)


def result(call_id: str, function_id: str, data: bytes | Raw) -> bytes:
    """An `invocationresult` with a result in JSON."""
    return b'{"type":"invocationresult","invocation_id":%b,"function_id":%b,"result":%b}' % (
        _encode(call_id),
        _id_json(function_id),
        data,
    )


def failure(call_id: str, function_id: str, error: ErrorBody) -> bytes:
    """An `invocationresult` with an error."""
    return b'{"type":"invocationresult","invocation_id":%b,"function_id":%b,"error":%b}' % (
        _encode(call_id),
        _id_json(function_id),
        _error(error),
    )


def _error(error: ErrorBody) -> bytes:
    try:
        return _encode(error)
    except UnicodeEncodeError:
        return _encode(sendable(error))
