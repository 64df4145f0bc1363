"""The channels of an engine, by id: who made them, and when they go.

The table knows no socket and no clock of its own: time is injected.
"""

from __future__ import annotations

import hmac
from typing import Final, Literal, Protocol, TypeAlias

import msgspec
from msgspec import Struct

from iii_engine.core.channel import DEFAULT_FRAMES, REFUSED, Channel
from iii_engine.core.channel_room import ALL_BYTES, OWNER_BYTES, Room
from iii_engine.core.clock import Clock, Ids
from iii_engine.core.router import Call
from iii_engine.core.sessions import Session
from iii_sdk.errors import BusError
from iii_sdk.protocol import ChannelRef

Direction: TypeAlias = Literal["read", "write"]

MAX_FRAMES: Final = 1024

#: Channels that one worker may have at a time.
MAX_PER_OWNER: Final = 10_000

#: A channel whose ends have not both connected goes after this time.
EXPIRY_NS: Final = 300 * 1_000_000_000
SWEEP_NS: Final = 60 * 1_000_000_000


class CreateChannel(Struct):
    """Payload of `engine::channels::create`."""

    buffer_size: int | None = None


class ChannelPair(Struct):
    """Its result: a reference to each end."""

    writer: ChannelRef
    reader: ChannelRef


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
        #: What all channels hold.
        self.room = Room(ALL_BYTES)
        self._own_rooms: dict[Session, Room] = {}
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
            rooms=self._rooms(owner),
        )
        self._entries[channel.id] = channel
        self._expiring[channel.id] = channel
        if owner is not None:
            self._owned.setdefault(owner, {})[channel.id] = channel
        if self._next_sweep_ns is None:
            self._next_sweep_ns = self._now() + SWEEP_NS
        return channel

    def _rooms(self, owner: Session | None) -> tuple[Room, ...]:
        if owner is None:
            return (self.room,)
        own = self._own_rooms.get(owner)
        if own is None:
            own = self._own_rooms[owner] = Room(OWNER_BYTES)
        return self.room, own

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

    def claim(self, claim: Claim, *channel_ids: str) -> None:
        """Reserve ids for channels that `claim` makes when it is asked for them."""
        for channel_id in channel_ids:
            self._entries[channel_id] = claim

    def open(self, channel_id: str, write_key: str, read_key: str) -> Channel:
        """Make the channel of a claim. It has no owner and does not expire."""
        channel = Channel(
            channel_id, write_key, read_key, forget=self._forget, rooms=self._rooms(None)
        )
        self._entries[channel_id] = channel
        return channel

    def drop(self, *channel_ids: str) -> None:
        """Forget claims or channels, without telling their ends."""
        for channel_id in channel_ids:
            entry = self._entries.pop(channel_id, None)
            if isinstance(entry, Channel):
                entry.leave_rooms()

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
        self._own_rooms.pop(session, None)
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
