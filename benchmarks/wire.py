"""The least a program needs to speak the worker protocol: frames and envelopes made by hand.

The same few lines serve the caller and the worker of every bus row, so that what differs between
two systems under test is only the system in the middle.
"""

from __future__ import annotations

import struct
from typing import Final

_SHORT: Final = struct.Struct("!BB").pack
_MEDIUM: Final = struct.Struct("!BBH").pack
_LONG: Final = struct.Struct("!BBQ").pack
_FIN_TEXT: Final = 0x81
_MASKED: Final = 0x80

#: Clients must mask. Masking with zeros leaves the payload as it is, which costs nothing.
NO_MASK: Final = b"\0\0\0\0"

_ID_KEY: Final = b'"invocation_id":"'
_ID_LENGTH: Final = 36


def client_header(size: int) -> bytes:
    """The header of a text frame from a client, mask included."""
    if size < 126:
        return _SHORT(_FIN_TEXT, _MASKED | size) + NO_MASK
    if size < 65536:
        return _MEDIUM(_FIN_TEXT, _MASKED | 126, size) + NO_MASK
    return _LONG(_FIN_TEXT, _MASKED | 127, size) + NO_MASK


def server_header(size: int) -> bytes:
    """The header of a text frame from a server."""
    if size < 126:
        return _SHORT(_FIN_TEXT, size)
    if size < 65536:
        return _MEDIUM(_FIN_TEXT, 126, size)
    return _LONG(_FIN_TEXT, 127, size)


def client_frame(message: bytes) -> bytes:
    return client_header(len(message)) + message


def invocation_id(number: int) -> bytes:
    """A UUID with the number in its last digits."""
    return b"00000000-0000-4000-a000-%012x" % number


def id_of(message: bytes) -> bytes:
    """The invocation id of a message; empty when it has none near its start."""
    start = message.find(_ID_KEY, 0, 400)
    if start < 0:
        return b""
    start += len(_ID_KEY)
    return message[start : start + _ID_LENGTH]


def call_head(function_id: str, queue: str = "") -> bytes:
    """A call up to its id; append the id, `CALL_MIDDLE`, the payload and a closing brace.

    With a `queue` the call is put on it.
    """
    action = b'"action":{"type":"enqueue","queue":"%b"},' % queue.encode() if queue else b""
    return b'{"type":"invokefunction",%b"function_id":"%b","invocation_id":"' % (
        action,
        function_id.encode(),
    )


CALL_MIDDLE: Final = b'","data":'
RESULT_HEAD: Final = b'{"type":"invocationresult","invocation_id":"'
RESULT_MIDDLE: Final = b'","function_id":"bench","result":'


def register_function(function_id: str) -> bytes:
    return b'{"type":"registerfunction","id":"%b"}' % function_id.encode()


def register_http_route(function_id: str, path: str) -> bytes:
    return (
        b'{"type":"registertrigger","id":"00000000-0000-4000-b000-000000000001",'
        b'"trigger_type":"http","function_id":"%b","config":{"api_path":"%b","http_method":"GET"}}'
    ) % (function_id.encode(), path.encode())
