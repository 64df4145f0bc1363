"""Messages out of WebSocket frames: fragments, UTF-8, reserved bits, sizes (RFC 6455 §5)."""

from __future__ import annotations

import codecs
import struct
from typing import Final

from iii_engine.core.sizes import MIB

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2


class Violation(Exception):
    """The peer broke the protocol; `code` is the close code it gets."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Assembler:
    """Data frames in, whole messages out. Control frames are not its business.

    Text is checked as it arrives, so that a wrong byte ends the message at once.
    """

    __slots__ = ("_decoder", "_kind", "_limit", "_message")

    def __init__(self, max_message_bytes: int) -> None:
        self._limit = max_message_bytes
        self._message = bytearray()  # not a list: fragments may be as small as a byte
        self._kind = CONTINUATION  # TEXT or BINARY while a fragmented message is open
        self._decoder: codecs.IncrementalDecoder | None = None

    @property
    def held(self) -> int:
        """Bytes of the message that is open."""
        return len(self._message)

    def drop(self) -> None:
        """Forget the message that is open."""
        self._message, self._kind, self._decoder = bytearray(), CONTINUATION, None

    def feed(self, opcode: int, fin: bool, payload: bytes) -> tuple[int, bytes] | None:
        """Add a frame; returns `(TEXT or BINARY, message)` when it completes one."""
        if opcode != CONTINUATION and fin and self._kind == CONTINUATION:
            if len(payload) > self._limit:
                raise Violation(1009, "message too large")
            if opcode == TEXT and not is_utf8(payload):
                raise Violation(1007, "invalid UTF-8")
            return opcode, payload
        return self._fragment(opcode, fin, payload)

    def _fragment(self, opcode: int, fin: bool, payload: bytes) -> tuple[int, bytes] | None:
        if opcode == CONTINUATION:
            if self._kind == CONTINUATION:
                raise Violation(1002, "continuation without a message")
        elif self._kind != CONTINUATION:
            raise Violation(1002, "new message inside a fragmented one")
        else:
            self._kind = opcode
            if opcode == TEXT:
                self._decoder = codecs.getincrementaldecoder("utf-8")()
        if len(self._message) + len(payload) > self._limit:
            raise Violation(1009, "message too large")
        if self._decoder is not None:
            try:
                self._decoder.decode(payload, fin)
            except UnicodeDecodeError:
                raise Violation(1007, "invalid UTF-8") from None
        self._message += payload
        if not fin:
            return None
        message = self._kind, bytes(self._message)
        self.drop()
        return message


def is_utf8(payload: bytes) -> bool:
    """Whether the bytes are text. Nearly always they are ASCII, which is known at once."""
    if payload.isascii():
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def close_reply(payload: bytes) -> int:
    """The code to answer a peer's Close frame with: its own one, if a peer may send that."""
    if not payload:
        return 1000
    code = int.from_bytes(payload[:2], "big")
    allowed = 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
    return code if allowed and len(payload) >= 2 else 1002


#: Larger messages leave in fragments, so that a reader with a small frame limit can take them.
MAX_FRAME: Final = 16 * MIB
FRAGMENT: Final = MIB


#: Payloads from this size on need more than a byte for their length, and from `LONG` on eight.
MEDIUM: Final = 126
LONG: Final = 65536
_medium_header: Final = struct.Struct("!HH").pack

#: The header of an unmasked text frame by the length of its payload, for lengths below `TABLED`.
TABLED: Final = 1024
HEADERS: Final = tuple(
    bytes((0x81, size)) if size < MEDIUM else _medium_header(0x817E, size) for size in range(TABLED)
)


def text_frames(message: bytes) -> tuple[bytes, ...]:
    """Header and payload of an unmasked text message, ready to be written one after another."""
    size = len(message)
    if size < TABLED:
        return (HEADERS[size], message)
    if size < LONG:
        return (_medium_header(0x817E, size), message)
    if size <= MAX_FRAME:
        return (b"\x81\x7f" + size.to_bytes(8, "big"), message)
    return tuple(_fragments(message))


def _fragments(message: bytes) -> list[bytes]:
    """Frames of at most 1 MiB, cut at character boundaries."""
    parts: list[bytes] = []
    start, size = 0, len(message)
    while start < size:
        end = min(start + FRAGMENT, size)
        while end < size and message[end] & 0xC0 == 0x80:
            end -= 1
        first = (0x01 if start == 0 else 0x00) | (0x80 if end == size else 0x00)
        parts.append(bytes((first, 127)) + (end - start).to_bytes(8, "big"))
        parts.append(message[start:end])
        start = end
    return parts
