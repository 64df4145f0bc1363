"""The WebSocket client: picows delivers frames, messages are put together here.

All messages of one loop tick leave in one write, so the frame headers are made here too. They carry
the masking key zero, which leaves the payload as it is. Masks protect shared caches from scripts in
a browser that choose the bytes of their requests; this client is no browser, and picows' own mask
comes from an unseeded `rand()`, so nothing is lost but a pass over every payload.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Sequence
from typing import Final

from picows import (
    WSError,
    WSFrame,
    WSHandshakeError,
    WSListener,
    WSMsgType,
    WSTransport,
    ws_connect,
)

from iii_sdk.address import Address
from iii_sdk.masking import masked, reason
from iii_sdk.protocol import ChannelRef
from iii_sdk.transport import Receiver, Transport

log = logging.getLogger("iii.sdk")
#: picows reports every connection at INFO; problems come at WARNING.
picows_log = logging.getLogger("iii.sdk.picows")
picows_log.setLevel(logging.WARNING)

#: Largest message read or sent, in bytes.
MAX_MESSAGE: Final = 64 * 1024 * 1024
#: The engine reads frames up to 16 MiB; a larger message goes in pieces of `FRAGMENT` bytes.
MAX_FRAME: Final = 16 * 1024 * 1024
FRAGMENT: Final = 1024 * 1024
HANDSHAKE_SECONDS: Final = 10

#: From this many bytes on, `flow(False)` is called until the peer has read most of them.
HIGH_WATER: Final = 1024 * 1024

_TEXT = 0x1
_BINARY = 0x2
_CONTINUATION = 0x0
_FIN = 0x80
_MASKED = 0x80
_NO_MASK = b"\0\0\0\0"
_SHORT_TEXT: Final = tuple(bytes((_FIN | _TEXT, _MASKED | size)) + _NO_MASK for size in range(126))
_medium = struct.Struct(">BBHI").pack
_long = struct.Struct(">BBQI").pack


def frame_header(opcode: int, size: int, fin: bool = True) -> bytes:
    """The header of a client frame with masking key zero."""
    first = opcode | _FIN if fin else opcode
    if size < 126:
        return bytes((first, _MASKED | size)) + _NO_MASK
    if size < 65536:
        return _medium(first, _MASKED | 126, size, 0)
    return _long(first, _MASKED | 127, size, 0)


def _fragments(opcode: int, data: bytes) -> list[bytes | memoryview]:
    chunks: list[bytes | memoryview] = []
    view = memoryview(data)
    for start in range(0, len(data), FRAGMENT):
        piece = view[start : start + FRAGMENT]
        kind = opcode if start == 0 else _CONTINUATION
        chunks += (frame_header(kind, len(piece), start + FRAGMENT >= len(data)), piece)
    return chunks


class Socket(WSListener):
    """One WebSocket, seen from the client."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._heard = True
        self._code = 1006
        self._reason = ""
        self._pieces: list[bytes] = []
        self._pieces_size = 0
        self._pieces_text = False
        self._ws: WSTransport | None = None
        self._waiter: asyncio.Task[None] | None = None
        self._abandoned = False

    @property
    def opened(self) -> bool:
        """The handshake is done, and the receiver was told; only then it hears of the end."""
        return self._waiter is not None

    def abandon(self) -> None:
        """Nobody waits for this socket any more, should it open."""
        self._abandoned = True
        self.abort()

    # -- called by picows ------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._ws = transport
        if self._abandoned:
            transport.disconnect(graceful=False)
            return
        transport.underlying_transport.set_write_buffer_limits(high=HIGH_WATER)
        self._write = transport.underlying_transport.write
        self._waiter = asyncio.get_running_loop().create_task(_ended(transport))
        self._receiver.opened(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self._heard = True
        kind = frame.msg_type
        if kind is WSMsgType.TEXT and frame.fin and not self._pieces:
            self._receiver.received(frame.get_payload_as_bytes(), True)
        elif kind is WSMsgType.CLOSE:
            self._on_close(transport, frame.get_payload_as_bytes())
        elif kind in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            self._on_piece(transport, kind, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._pieces.clear()
        if self.opened:
            self._receiver.closed(self._code, self._reason)

    def pause_writing(self) -> None:
        self._receiver.flow(False)

    def resume_writing(self) -> None:
        self._receiver.flow(True)

    def _on_close(self, transport: WSTransport, payload: bytes) -> None:
        self._code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
        self._reason = payload[2:].decode("utf-8", "replace")
        transport.send_close()
        transport.disconnect()

    def _on_piece(self, transport: WSTransport, kind: WSMsgType, frame: WSFrame) -> None:
        if kind is not WSMsgType.CONTINUATION:
            self._pieces_text = kind is WSMsgType.TEXT
        data = frame.get_payload_as_bytes()
        self._pieces_size += len(data)
        if self._pieces_size > MAX_MESSAGE:
            log.warning("dropping the connection: a message exceeds %d bytes", MAX_MESSAGE)
            self._code, self._reason = 1009, "message too large"
            transport.disconnect(graceful=False)
            return
        self._pieces.append(data)
        if frame.fin:
            whole = b"".join(self._pieces)
            self._pieces.clear()
            self._pieces_size = 0
            self._receiver.received(whole, self._pieces_text)

    # -- Transport -------------------------------------------------------------------------------

    def send(self, messages: Sequence[bytes]) -> None:
        chunks: list[bytes | memoryview] = []
        for message in messages:
            size = len(message)
            if size < 126:
                chunks += (_SHORT_TEXT[size], message)
            elif size < 65536:
                chunks += (_medium(0x81, 0xFE, size, 0), message)
            elif size <= MAX_FRAME:
                chunks += (_long(0x81, 0xFF, size, 0), message)
            else:
                chunks += _fragments(_TEXT, message)
        self._write(b"".join(chunks))

    def send_bytes(self, data: bytes) -> None:
        self._write(frame_header(_BINARY, len(data)) + data)

    def pause_reading(self) -> None:
        if self._ws is not None:
            self._ws.underlying_transport.pause_reading()

    def resume_reading(self) -> None:
        if self._ws is not None:
            self._ws.underlying_transport.resume_reading()

    def ping(self) -> None:
        if self._ws is not None:
            self._ws.send_ping()

    @property
    def heard(self) -> bool:
        heard, self._heard = self._heard, False
        return heard

    def close(self, code: int = 1000, reason: str = "") -> None:
        ws = self._ws
        if ws is not None and not ws.is_disconnected:
            # picows has no enum member for every code, but any 16-bit code fits its Close frame.
            self._write(frame_header(0x8, 2 + len(reason.encode())))
            self._write(code.to_bytes(2, "big") + reason.encode())
            ws.disconnect()

    def abort(self) -> None:
        if self._ws is not None and not self._ws.is_disconnected:
            self._ws.disconnect(graceful=False)

    async def wait_closed(self) -> None:
        if self._waiter is not None:
            await self._waiter


async def _ended(transport: WSTransport) -> None:
    """Wait for the end; a local failure that caused it is only worth a line in the log."""
    try:
        await transport.wait_disconnected()
    except Exception as error:  # noqa: BLE001 - picows re-raises whatever ended it
        log.warning("connection failed: %s", error)


class WebSocketEndpoint:
    """An engine at an address."""

    def __init__(self, address: Address) -> None:
        self.address = address

    async def connect(self, receiver: Receiver) -> Transport:
        return await self._open(self.address.url, receiver)

    async def open_channel(self, ref: ChannelRef, receiver: Receiver) -> Transport:
        return await self._open(self.address.channel(ref), receiver)

    async def _open(self, url: str, receiver: Receiver) -> Transport:
        socket = Socket(receiver)
        place = masked(url.partition("?")[0])
        try:
            await ws_connect(
                lambda: socket,
                url,
                extra_headers=self.address.headers,
                websocket_handshake_timeout=HANDSHAKE_SECONDS,
                max_frame_size=MAX_MESSAGE,
                logger_name=picows_log,
                # The headers hold a token: it is for this address, not for where that points to.
                max_redirects=0,
            )
        except WSHandshakeError as error:
            raise ConnectionError(f"{place}: {_refusal(error)}") from None
        except (WSError, TimeoutError) as error:
            raise ConnectionError(f"{place}: {reason(url, str(error))}") from None
        except asyncio.CancelledError:
            socket.abandon()
            raise
        if not socket.opened:  # picows says nothing of a peer that leaves amid the handshake
            raise ConnectionError(f"{place}: the connection ended during the handshake")
        return socket


def _refusal(error: WSHandshakeError) -> str:
    status = 0 if error.response is None else int(error.response.status)
    if 300 <= status < 400:
        return f"HTTP {status} leads elsewhere; use the address of the engine itself"
    return str(error)
