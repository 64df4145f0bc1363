"""What channels hold together, and which writers wait for it."""

from __future__ import annotations

import pytest
from tests.support.bus import Bus

from iii_engine.core import channels as table
from iii_engine.core.channel import Channel
from iii_engine.core.channel_room import Room
from iii_engine.core.channels import Channels
from iii_engine.core.clock import SeededIds, VirtualClock
from iii_engine.core.sessions import Session


class End:
    """Either end. A reader with `slow` takes one frame at a time."""

    def __init__(self, channel: Channel, *, slow: bool = False) -> None:
        self.channel = channel
        self.slow = slow
        self.got: list[bytes] = []
        self.paused = False

    def deliver(self, text: bool, data: bytes) -> None:
        self.got.append(data)
        if self.slow:
            self.channel.hold()

    def end(self, code: int) -> None:
        pass

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


@pytest.fixture
def channels(monkeypatch: pytest.MonkeyPatch) -> Channels:
    monkeypatch.setattr(table, "OWNER_BYTES", 1000)
    monkeypatch.setattr(table, "ALL_BYTES", 3000)
    return Channels(VirtualClock(), SeededIds(1))


@pytest.fixture
def owner() -> Session:
    return Bus().peer().session


def opened(channels: Channels, owner: Session | None) -> tuple[Channel, End]:
    channel = channels.create(owner, 1000)
    writer = End(channel)
    assert channel.attach_writer(writer)
    return channel, writer


@pytest.mark.promise("Channels", "No number of channels can fill the engine: their writers wait.")
def test_the_writers_of_one_worker_wait_when_its_channels_hold_too_much(
    channels: Channels, owner: Session
) -> None:
    first, one = opened(channels, owner)
    second, two = opened(channels, owner)
    _, other = opened(channels, Bus().peer().session)
    first.write(False, b"x" * 600)
    assert not one.paused
    second.write(False, b"x" * 400)
    assert one.paused
    assert two.paused
    assert not other.paused
    _, late = opened(channels, owner)
    assert late.paused  # although its own channel is empty
    first.attach_reader(End(first))
    assert not any(end.paused for end in (one, two, late))  # half of the room is free
    assert channels.room.held == 400


def test_a_reader_that_keeps_up_is_not_slowed_by_others(channels: Channels, owner: Session) -> None:
    full, _ = opened(channels, owner)
    full.write(False, b"x" * 1000)
    quick, writer = opened(channels, owner)
    assert writer.paused
    reader = End(quick)
    quick.attach_reader(reader)
    assert not writer.paused
    for _ in range(100):
        quick.write(False, b"y" * 500)
        assert not writer.paused
    assert len(reader.got) == 100


def test_what_a_slow_reader_has_not_taken_counts(channels: Channels, owner: Session) -> None:
    channel, writer = opened(channels, owner)
    reader = End(channel, slow=True)
    channel.attach_reader(reader)
    channel.write(False, b"x" * 1000)
    assert channels.room.held == 1000
    assert writer.paused
    channel.release()
    assert channels.room.held == 0
    assert not writer.paused


def test_all_channels_share_a_room(channels: Channels) -> None:
    made = [opened(channels, Bus().peer().session) for _ in range(5)]
    for channel, _ in made[:4]:
        channel.write(False, b"x" * 750)
    assert [writer.paused for _, writer in made] == [True] * 5
    for channel, _ in made[:2]:
        channel.close()
    assert channels.room.held == 1500
    made[2][0].leave()
    assert [writer.paused for _, writer in made[3:]] == [False, False]


def test_nothing_is_counted_of_channels_that_are_gone(channels: Channels, owner: Session) -> None:
    mine = channels.open("mine", "w", "r")
    mine.attach_writer(End(mine))
    mine.write(False, b"x" * 100)
    channels.drop("mine")
    channel, _ = opened(channels, owner)
    slow = End(channel, slow=True)
    channel.attach_reader(slow)
    channel.write(False, b"x" * 100)
    channel.write(False, b"x" * 100)
    assert channels.room.held == 200
    channel.finish()
    channel.leave()
    assert channels.room.held == 0
    assert not channels.room.members
    late, _ = opened(channels, owner)
    late.write(False, b"x" * 100)
    channels.session_gone(owner)
    assert channels.room.held == 0


def test_a_writer_that_goes_on_at_once_does_not_overtake(
    channels: Channels, owner: Session
) -> None:
    channel, writer = opened(channels, owner)
    channel.write(False, b"1" * 1000)
    assert writer.paused
    more = [b"3"]
    writer.resume = lambda: more and channel.write(False, more.pop())  # type: ignore[method-assign]
    reader = End(channel)
    channel.attach_reader(reader)
    assert [data[:1] for data in reader.got] == [b"1", b"3"]


def test_a_room_is_tight_until_half_of_it_is_free() -> None:
    room = Room(100)
    states = []
    for size in (99, 1, -50, -1, 50, 1):
        room.add(size)
        states.append(room.tight)
    assert states == [False, True, True, False, False, True]
