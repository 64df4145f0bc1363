"""Everything that was queued for a peer in one loop tick leaves with one system call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from iii_engine.core.backlog import Backlog
from iii_engine.net.assembly import HEADERS, TABLED, text_frames

log = logging.getLogger("iii.net")

#: Larger messages go to the system as they are, in bytes; smaller ones are cheaper to copy once.
JOIN_BELOW: Final = 4 * 1024


class Writer(Protocol):
    """The part of a transport that takes data."""

    def write(self, data: bytes) -> None: ...

    def writelines(self, list_of_data: list[bytes]) -> None:
        """Write all of them with one system call, as far as it takes so many."""
        ...


class Peer(Protocol):
    """The transport's end of a connection."""

    def flush(self) -> None:
        """Write what is queued, unless the peer does not read."""
        ...

    def cut(self) -> None:
        """End the connection at once, with what was to be written."""
        ...


class Flusher:
    """Flushes all peers that got something in this loop tick."""

    def __init__(self, loop: asyncio.AbstractEventLoop, backlog: Backlog) -> None:
        self._call_soon = loop.call_soon
        self._backlog = backlog
        self._dirty: list[Peer] = []

    def write(self, peer: Peer, write: Callable[[], None]) -> None:
        """Write to a peer in the midst of a message, which may be another peer's."""
        try:
            write()
        except Exception:
            log.exception("cannot write to a peer")
            self._call_soon(peer.cut)

    def add(self, peer: Peer) -> None:
        if not self._dirty:
            self._call_soon(self._flush)
        self._dirty.append(peer)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for peer in dirty:
            try:
                peer.flush()
            except Exception:
                # Nobody else may wait for ever because of it. What this peer was to get is lost,
                # so it goes, and who waits for its answers is told.
                log.exception("cannot write to a peer")
                peer.cut()
        if self._backlog.total > self._backlog.bound:
            self._call_soon(self._backlog.shed)  # after the loop tried to write what is new


def write_messages(messages: list[bytes], transport: Writer) -> None:
    """Write all messages at once. Those that are large, or shared with others, are not copied."""
    pieces: list[bytes] = []
    joined: list[bytes] = []
    for message in messages:
        size = len(message)
        if size < TABLED:
            joined.append(HEADERS[size])
            joined.append(message)
        elif size <= JOIN_BELOW:
            joined += text_frames(message)
        else:
            if joined:
                pieces.append(b"".join(joined))
                joined = []
            pieces += text_frames(message)
    if not pieces:
        transport.write(b"".join(joined))
        return
    if joined:
        pieces.append(b"".join(joined))
    transport.writelines(pieces)
