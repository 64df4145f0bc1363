"""Messages on their way out.

While there is a connection, all messages of one loop tick leave in one write; while there is none,
calls are held back. Both are bounded.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final

from iii_sdk.transport import Transport

log = logging.getLogger("iii.sdk")

#: Calls held back while there is no connection, and their bytes; the oldest goes first.
HELD_CALLS: Final = 1000
HELD_BYTES: Final = 64 * 1024 * 1024
#: Bytes that may wait for an engine that does not read; from there on calls are refused, and at
#: twice as much the connection is given up.
OUTBOX_BYTES: Final = 64 * 1024 * 1024


class Outbox:
    """What has not been written yet."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: Transport | None = None
        self._writable = True
        self._frames: list[bytes] = []
        self._bytes = 0
        self._held: deque[tuple[str | None, bytes]] = deque()
        self._held_bytes = 0

    @property
    def full(self) -> bool:
        return self._bytes > OUTBOX_BYTES

    @property
    def writable(self) -> bool:
        """The transport takes more, and nothing waits for it."""
        return self._writable and not self.full

    def opened(self, transport: Transport) -> None:
        self._transport = transport
        self._writable = True

    def closed(self) -> None:
        """What was not written is lost."""
        self._transport = None
        self._frames.clear()
        self._bytes = 0

    def flow(self, open: bool) -> None:
        """Whether the transport takes more."""
        self._writable = open
        if open:
            self.flush()

    def send(self, frame: bytes) -> None:
        """Into the one write of this loop tick; nowhere when there is no connection."""
        if self._transport is None:
            return
        if not self._frames:
            self._loop.call_soon(self.flush)
        self._frames.append(frame)
        self._bytes += len(frame)
        if self._bytes > 2 * OUTBOX_BYTES and not self._writable:
            log.error("the engine does not read what is sent to it; connecting again")
            self._transport.abort()

    def flush(self) -> None:
        """Write now."""
        if self._frames and self._writable and self._transport is not None:
            frames, self._frames = self._frames, []
            self._bytes = 0
            self._transport.send(frames)

    def hold(self, call_id: str | None, frame: bytes) -> list[str]:
        """Keep a call until there is a connection. Returns the calls that made room for it."""
        held, displaced = self._held, []
        held.append((call_id, frame))
        self._held_bytes += len(frame)
        while len(held) > 1 and (len(held) > HELD_CALLS or self._held_bytes > HELD_BYTES):
            oldest, dropped = held.popleft()
            self._held_bytes -= len(dropped)
            log.warning("dropped the oldest of %d waiting messages", len(held) + 1)
            if oldest is not None:
                displaced.append(oldest)
        return displaced

    def release(self) -> deque[tuple[str | None, bytes]]:
        """The calls that were held back, oldest first; they are the caller's from now on."""
        held, self._held, self._held_bytes = self._held, deque(), 0
        return held
