"""Everything that was queued for a peer in one loop tick leaves with one system call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from iii_engine.core.backlog import Backlog
from iii_engine.net.assembly import HEADERS, TABLED, text_frames

log = logging.getLogger("iii.net")

#: Larger messages are written for themselves, which saves copying them once more, in bytes. Smaller
#: ones are not: each write may wake the reader, who then takes the processor in the midst of ours.
JOIN_BELOW: Final = 256 * 1024


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


def write_messages(
    messages: list[bytes], write: Callable[[bytes], None], join_below: int = JOIN_BELOW
) -> None:
    """All small messages in one write; large ones are not copied once more."""
    joined: list[bytes] = []
    for message in messages:
        size = len(message)
        if size < TABLED and size <= join_below:
            joined.append(HEADERS[size])
            joined.append(message)
        elif size <= join_below:
            joined += text_frames(message)
        else:
            if joined:
                write(b"".join(joined))
                joined = []
            for part in text_frames(message):
                write(part)
    if joined:
        write(b"".join(joined))
