"""One channel: a one-directional pipe of frames between two ends, outside the calls.

Each end is a socket or a part of the engine; both look the same here, and are called back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from iii_engine.core.channel_room import Room
from iii_engine.core.sessions import Session
from iii_engine.core.sizes import MIB

DEFAULT_FRAMES: Final = 64

#: A channel holds at most this much, whatever the number of frames.
MAX_BYTES: Final = 16 * MIB

#: Close codes that ends are told.
FINISHED: Final = 1000
REFUSED: Final = 1008

#: What a reader is told when the writer was lost without a Close frame. On the wire it is 1000.
BROKEN: Final = 1006


class ReadEnd(Protocol):
    """Where frames go. It calls `hold` when it cannot take more and `release` when it can."""

    def deliver(self, text: bool, data: bytes) -> None: ...

    def end(self, code: int) -> None:
        """Nothing follows any more."""
        ...


class WriteEnd(Protocol):
    """Where frames come from."""

    def pause(self) -> None:
        """Stop sending, until `resume`."""
        ...

    def resume(self) -> None: ...

    def end(self, code: int) -> None:
        """Nobody reads any more."""
        ...


class Channel:
    """The state of one channel. Frames that cannot be delivered yet wait here, in order."""

    __slots__ = (
        "_bytes",
        "_end_code",
        "_frames",
        "_held",
        "_last",
        "_paused",
        "_reader",
        "_reader_done",
        "_rooms",
        "_unread",
        "_writer",
        "_writer_done",
        "buffer_size",
        "created_ns",
        "forget",
        "id",
        "owner",
        "read_key",
        "write_key",
    )

    def __init__(
        self,
        id: str,
        write_key: str,
        read_key: str,
        *,
        buffer_size: int = DEFAULT_FRAMES,
        owner: Session | None = None,
        created_ns: int = 0,
        forget: Callable[[Channel], None],
        rooms: tuple[Room, ...] = (),
    ) -> None:
        self.id = id
        self.write_key = write_key
        self.read_key = read_key
        self.buffer_size = buffer_size
        self.owner = owner
        self.created_ns = created_ns
        self.forget = forget
        self._frames: deque[tuple[bool, bytes]] = deque()
        self._bytes = 0
        self._last = 0  # bytes of the frame that the reader got last
        self._unread = 0  # bytes that it holds back, as far as we know
        self._rooms = rooms
        for room in rooms:
            room.members[self] = None
        self._end_code = FINISHED  # what the reader is told after the last frame
        self._reader: ReadEnd | None = None
        self._writer: WriteEnd | None = None
        self._reader_done = False
        self._writer_done = False
        self._held = False  # the reader cannot take more for now
        self._paused = False  # the writer was told to wait

    @property
    def has_writer(self) -> bool:
        """A writer is or was connected."""
        return self._writer is not None or self._writer_done

    @property
    def has_reader(self) -> bool:
        return self._reader is not None or self._reader_done

    @property
    def connected(self) -> bool:
        return self.has_reader and self.has_writer

    @property
    def full(self) -> bool:
        if len(self._frames) >= self.buffer_size or self._bytes >= MAX_BYTES:
            return True
        flows = self._reader is not None and not self._held and not self._frames
        return not flows and any(room.tight for room in self._rooms)

    # -- ends ------------------------------------------------------------------------------------

    def attach_writer(self, end: WriteEnd) -> bool:
        """Connect the writer. False when there is or was one already."""
        if self.has_writer:
            return False
        self._writer = end
        if self._reader_done:
            self._end_writer(FINISHED)
            self._settle()
        self.regulate()
        return True

    def attach_reader(self, end: ReadEnd) -> bool:
        """Connect the reader, which gets at once what waits. False when there is or was one."""
        if self.has_reader:
            return False
        self._reader = end
        self._drain()
        return True

    # -- writer's side ---------------------------------------------------------------------------

    def write(self, text: bool, data: bytes) -> None:
        """Relay one frame, or keep it and pause the writer when the buffer is full."""
        if self._reader_done or self._writer_done:
            return
        if self._reader is not None and not self._held and not self._frames:
            self._last = len(data)
            self._reader.deliver(text, data)
            return
        self._frames.append((text, data))
        self._bytes += len(data)
        self._count(len(data))
        self.regulate()

    def finish(self, code: int = FINISHED) -> None:
        """The writer closed, or dropped (`BROKEN`): the reader gets the rest, then the end."""
        if self._writer_done:
            return
        self._writer_done, self._writer = True, None
        self._end_code = code
        if not self._frames:
            self._end_reader(code)
        self._settle()

    # -- reader's side ---------------------------------------------------------------------------

    def hold(self) -> None:
        """The reader cannot take more for now."""
        if not self._held:
            self._held = True
            self._unread = self._last
            self._count(self._unread)
            self.regulate()

    def release(self) -> None:
        """The reader can take more."""
        self._held = False
        self._count(-self._unread)
        self._unread = 0
        self._drain()

    def leave(self) -> None:
        """The reader closed or dropped: what waits is discarded and the writer told."""
        if self._reader_done:
            return
        self._reader_done, self._reader = True, None
        self._discard()
        self._end_writer(FINISHED)
        self._settle()

    # -- both ------------------------------------------------------------------------------------

    def close(self, code: int = FINISHED) -> None:
        """End both ends now."""
        self._discard()
        self._end_reader(code)
        self._end_writer(code)
        self._reader_done = self._writer_done = True
        self._settle()

    def regulate(self) -> None:
        """Pause the writer, or let it go on."""
        writer = self._writer
        if writer is None or self._paused is (full := self.full):
            return
        self._paused = full
        if full:
            writer.pause()
        else:
            writer.resume()

    def _count(self, size: int) -> None:
        for room in self._rooms:
            room.add(size)

    def _discard(self) -> None:
        """What waits is of no use any more."""
        gone, self._bytes, self._unread = self._bytes + self._unread, 0, 0
        self._frames.clear()
        self._count(-gone)

    def _drain(self) -> None:
        while self._frames and not self._held and self._reader is not None:
            text, data = self._frames.popleft()
            self._bytes -= len(data)
            self._last = len(data)
            self._reader.deliver(text, data)
            self._count(-len(data))  # not before: a writer that goes on must not overtake it
        if self._writer_done and not self._frames:
            self._end_reader(self._end_code)
            self._settle()
        else:
            self.regulate()

    def _end_reader(self, code: int) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            self._reader_done = True
            reader.end(code)

    def _end_writer(self, code: int) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            self._writer_done = True
            writer.end(code)

    def _settle(self) -> None:
        if self._reader_done and self._writer_done:
            self._discard()
            self.leave_rooms()
            self.forget(self)

    def leave_rooms(self) -> None:
        """It does not count any more; what waits in it is delivered all the same."""
        rooms, self._rooms = self._rooms, ()
        for room in rooms:
            del room.members[self]
            room.add(-self._bytes - self._unread)
        self.regulate()
