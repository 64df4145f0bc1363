"""Channels: one-directional pipes of frames between two ends, outside the calls.

Each end is a socket or a part of the engine; both look the same here. The table knows no socket
and no clock of its own: ends are called back, time is injected.
"""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Callable
from typing import Final, Literal, Protocol, TypeAlias

import msgspec
from msgspec import Struct

from iii_engine.core.clock import Clock, Ids
from iii_engine.core.router import Call
from iii_engine.core.sessions import MIB, Session
from iii_sdk.errors import BusError
from iii_sdk.protocol import ChannelRef

Direction: TypeAlias = Literal["read", "write"]

DEFAULT_FRAMES: Final = 64
MAX_FRAMES: Final = 1024

#: A channel holds at most this much, whatever the number of frames.
MAX_BYTES: Final = 16 * MIB

#: Channels that one worker may have at a time.
MAX_PER_OWNER: Final = 10_000

#: A channel whose ends have not both connected goes after this time.
EXPIRY_NS: Final = 300 * 1_000_000_000
SWEEP_NS: Final = 60 * 1_000_000_000

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


class CreateChannel(Struct):
    """Payload of `engine::channels::create`."""

    buffer_size: int | None = None


class ChannelPair(Struct):
    """Its result: a reference to each end."""

    writer: ChannelRef
    reader: ChannelRef


class Channel:
    """The state of one channel. Frames that cannot be delivered yet wait here, in order."""

    __slots__ = (
        "_bytes",
        "_end_code",
        "_frames",
        "_held",
        "_paused",
        "_reader",
        "_reader_done",
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
        return len(self._frames) >= self.buffer_size or self._bytes >= MAX_BYTES

    # -- ends ------------------------------------------------------------------------------------

    def attach_writer(self, end: WriteEnd) -> bool:
        """Connect the writer. False when there is or was one already."""
        if self.has_writer:
            return False
        self._writer = end
        if self._reader_done:
            self._end_writer(FINISHED)
            self._settle()
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
            self._reader.deliver(text, data)
            return
        self._frames.append((text, data))
        self._bytes += len(data)
        if not self._paused and self.full and self._writer is not None:
            self._paused = True
            self._writer.pause()

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
        self._held = True

    def release(self) -> None:
        """The reader can take more."""
        self._held = False
        self._drain()

    def leave(self) -> None:
        """The reader closed or dropped: what waits is discarded and the writer told."""
        if self._reader_done:
            return
        self._reader_done, self._reader = True, None
        self._frames.clear()
        self._bytes = 0
        self._end_writer(FINISHED)
        self._settle()

    # -- both ------------------------------------------------------------------------------------

    def close(self, code: int = FINISHED) -> None:
        """End both ends now."""
        self._frames.clear()
        self._bytes = 0
        self._end_reader(code)
        self._end_writer(code)
        self._reader_done = self._writer_done = True
        self._settle()

    def _drain(self) -> None:
        while self._frames and not self._held and self._reader is not None:
            text, data = self._frames.popleft()
            self._bytes -= len(data)
            self._reader.deliver(text, data)
        if self._writer_done and not self._frames:
            self._end_reader(self._end_code)
            self._settle()
        elif self._paused and self._writer is not None and not self.full:
            self._paused = False
            self._writer.resume()

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
            self.forget(self)


class Claim(Protocol):
    """Stands for a channel that is only made when somebody asks for it."""

    def open_channel(self, channel_id: str) -> Channel:
        """Make the channel (the table remembers it)."""
        ...


class Channels:
    """All channels of an engine, by id."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._now = clock.monotonic_ns
        self._ids = ids
        self._entries: dict[str, Channel | Claim] = {}
        self._owned: dict[Session, dict[str, Channel]] = {}
        self._expiring: dict[str, Channel] = {}  # oldest first
        self._next_sweep_ns: int | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def create(self, owner: Session | None = None, buffer_size: int | None = None) -> Channel:
        """A new channel. Raises `BusError` `channel_limit` when the owner has too many."""
        if owner is not None and len(self._owned.get(owner, ())) >= MAX_PER_OWNER:
            raise BusError(
                f"a worker may have at most {MAX_PER_OWNER} channels", code="channel_limit"
            )
        frames = DEFAULT_FRAMES if buffer_size is None else buffer_size
        channel = Channel(
            self._ids.uuid(),
            self._ids.secret_uuid(),
            self._ids.secret_uuid(),
            buffer_size=max(1, min(frames, MAX_FRAMES)),
            owner=owner,
            created_ns=self._now(),
            forget=self._forget,
        )
        self._entries[channel.id] = channel
        self._expiring[channel.id] = channel
        if owner is not None:
            self._owned.setdefault(owner, {})[channel.id] = channel
        if self._next_sweep_ns is None:
            self._next_sweep_ns = self._now() + SWEEP_NS
        return channel

    def answer_create(self, call: Call) -> None:
        """The function `engine::channels::create`."""
        try:
            data = bytes(call.data)
            request = msgspec.json.decode(b"{}" if data == b"null" else data, type=CreateChannel)
            channel = self.create(call.caller, request.buffer_size)
        except msgspec.DecodeError as error:
            call.fail(
                "deserialization_error",
                f"Failed to deserialize input for {call.function_id}: {error}",
            )
        except BusError as error:
            call.fail(error.code, error.message)
        else:
            pair = ChannelPair(
                ChannelRef(channel.id, channel.write_key, "write"),
                ChannelRef(channel.id, channel.read_key, "read"),
            )
            call.reply(msgspec.json.encode(pair))

    # -- channels of the engine itself -----------------------------------------------------------

    def claim(self, channel_id: str, claim: Claim) -> None:
        """Reserve an id for a channel that `claim` makes when it is asked for."""
        self._entries[channel_id] = claim

    def open(self, channel_id: str, write_key: str, read_key: str) -> Channel:
        """Make the channel of a claim. It has no owner and does not expire."""
        channel = Channel(channel_id, write_key, read_key, forget=self._forget)
        self._entries[channel_id] = channel
        return channel

    def drop(self, channel_id: str) -> None:
        """Forget a claim or a channel, without telling its ends."""
        self._entries.pop(channel_id, None)

    # -- looking up ------------------------------------------------------------------------------

    def find(self, channel_id: str, key: str, direction: Direction) -> Channel | None:
        """The channel of this id, when the key is that of the end."""
        entry = self._entries.get(channel_id)
        if entry is None:
            return None
        channel = entry if isinstance(entry, Channel) else entry.open_channel(channel_id)
        wanted = channel.write_key if direction == "write" else channel.read_key
        same = hmac.compare_digest(key.encode("utf-8", "replace"), wanted.encode())
        return channel if same and wanted else None

    def _forget(self, channel: Channel) -> None:
        self._entries.pop(channel.id, None)
        self._expiring.pop(channel.id, None)
        if channel.owner is not None:
            owned = self._owned[channel.owner]
            del owned[channel.id]
            if not owned:
                del self._owned[channel.owner]
            channel.owner = None

    # -- ends without a close --------------------------------------------------------------------

    def session_gone(self, session: Session) -> None:
        """The owner disconnected: its channels go, but for those with both ends connected."""
        for channel in list(self._owned.pop(session, {}).values()):
            channel.owner = None
            if not channel.connected:
                channel.close(REFUSED)

    def next_deadline_ns(self) -> int | None:
        return self._next_sweep_ns

    def advance(self) -> None:
        """Remove, at the times of the sweep, what waited for an end for too long."""
        now = self._now()
        if self._next_sweep_ns is None or now < self._next_sweep_ns:
            return
        for channel in list(self._expiring.values()):
            if now - channel.created_ns < EXPIRY_NS:
                break
            del self._expiring[channel.id]
            if not channel.connected:
                channel.close(REFUSED)
        self._next_sweep_ns = now + SWEEP_NS if self._expiring else None
