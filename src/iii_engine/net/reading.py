"""Reading from a connection: picows, and how much of a frame it has so far.

picows collects a frame in its read buffer and tells nobody until the frame is whole. It does tell
the room that is left, and the size of the buffer follows from that: it doubles when a read fills
more than nine tenths of it, and so the room is larger than the size was, or the read has filled
all the room there was. One look after each read is enough, and costs 0.1 µs.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any, Final

import picows
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from iii_engine.net.kept import Kept, release

#: Less of an unfinished frame is not counted, in bytes, nor are smaller buffers.
COUNTED_FROM: Final = 64 * 1024

INITIAL_BUFFER: Final = 4096

_NEVER: Final = sys.maxsize

#: picows reports every connection at INFO; problems come at WARNING.
picows_log = logging.getLogger("iii.picows")
picows_log.setLevel(logging.WARNING)

kept: Final = Kept()  # of all connections of this process

Answer = Callable[
    [picows.WSUpgradeRequest],
    "picows.WSListener | picows.WSUpgradeResponseWithListener | None",
]

_look: Final = WSProtocol.get_buffer
_read: Final = WSProtocol.buffer_updated


class Reading(WSProtocol):  # type: ignore[misc]
    """A connection of picows that tells its listener, a `MessageSocket`, how much is unfinished."""

    __slots__ = ("_enough", "_kept", "_room", "_size", "_told", "_transport")

    def __init__(self, answer: Answer, handshake_seconds: float, max_frame: int) -> None:
        super().__init__(
            None,  # host and port
            None,  # path
            False,  # not the client
            answer,
            picows_log,
            True,  # an exception ends the connection
            handshake_seconds,
            False,  # pings are our own business
            20,
            20,
            picows.WSAutoPingStrategy.PING_WHEN_IDLE,
            False,  # and so are pongs
            max_frame,
            None,
            INITIAL_BUFFER,
        )
        self._size: int = len(_look(self, -1))
        self._room = self._size  # of the buffer, not used
        self._enough = 0  # with this room there is nothing to tell
        self._kept = False  # among those with a large buffer
        self._told = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        super().connection_made(transport)

    def buffer_updated(self, nbytes: int) -> None:
        _read(self, nbytes)
        room = len(_look(self, -1))
        if nbytes < self._room and self._enough <= room <= self._size:
            self._room = room
        else:
            self._changed(nbytes, room)

    def _changed(self, nbytes: int, room: int) -> None:
        if room > self._size or nbytes == self._room:
            self._size *= 2
            self._kept = False
        self._room = room
        waiting = self._size - room
        if waiting < COUNTED_FROM:
            waiting = 0
        self._enough = _NEVER if waiting else self._size - COUNTED_FROM + 1
        if not self._kept and self._size >= COUNTED_FROM:
            self._kept = True
            kept.note(self, self._size)
        if waiting or self._told:
            self._told = waiting
            if self.listener is not None:
                self.listener.on_waiting(waiting)

    def trim(self) -> None:
        self._kept, self._enough = False, _NEVER  # the next read needs memory again
        release(_look(self, -1))

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        kept.note(self, 0)
        self._size = 0  # what picows still hands over of this read does not count
        if self._told:
            self._told = 0
            self.listener.on_waiting(0)

    def abandon(self) -> None:
        """Free what was read; what still comes is thrown away until the connection is closed."""
        self._transport.set_protocol(_Waste())
        self.connection_lost(None)


class _Waste(asyncio.BufferedProtocol):
    """Reads on, because closing on unread data would destroy the Close frame that was sent."""

    _bin: Final = bytearray(64 * 1024)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._bin

    def buffer_updated(self, nbytes: int) -> None:
        pass
