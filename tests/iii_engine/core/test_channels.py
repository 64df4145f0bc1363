"""The channel table, without sockets: ends are plain objects and time stands still."""

from __future__ import annotations

import msgspec
import pytest

from iii_engine.core.channel import MAX_BYTES, Channel
from iii_engine.core.channels import EXPIRY_NS, MAX_PER_OWNER, SWEEP_NS, Channels
from iii_engine.core.clock import SeededIds, VirtualClock
from iii_engine.core.engine import Engine
from iii_engine.core.sessions import Session
from iii_sdk.errors import BusError


class End:
    """Either end: notes what it is told."""

    def __init__(self) -> None:
        self.frames: list[tuple[bool, bytes]] = []
        self.codes: list[int] = []
        self.paused = False

    def deliver(self, text: bool, data: bytes) -> None:
        self.frames.append((text, data))

    def end(self, code: int) -> None:
        self.codes.append(code)

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def channels(clock: VirtualClock) -> Channels:
    return Channels(clock, SeededIds(1))


def both(channel: Channel) -> tuple[End, End]:
    writer, reader = End(), End()
    assert channel.attach_writer(writer)
    assert channel.attach_reader(reader)
    return writer, reader


@pytest.mark.parametrize(
    ("data", "frames"),
    [
        ("{}", 64),
        ("null", 64),
        ('{"buffer_size":null}', 64),
        ('{"buffer_size":0}', 1),
        ('{"buffer_size":5000}', 1024),
        ('{"buffer_size":9}', 9),
    ],
)
def test_wire_case_65_and_modules_case_24_create(
    clock: VirtualClock, data: str, frames: int
) -> None:
    engine = Engine(clock, SeededIds(1))
    engine.add_function("create", engine.channels.answer_create, module="test")
    answers: list[object] = []
    engine.call("create", data.encode(), lambda r, e: answers.append(msgspec.json.decode(r)))
    (pair,) = answers
    assert isinstance(pair, dict)
    writer, reader = pair["writer"], pair["reader"]
    assert writer["channel_id"] == reader["channel_id"]
    assert writer["access_key"] != reader["access_key"]
    assert (writer["direction"], reader["direction"]) == ("write", "read")
    channel = engine.channels.find(writer["channel_id"], writer["access_key"], "write")
    assert channel is not None
    assert channel.buffer_size == frames


def test_create_with_a_wrong_payload(clock: VirtualClock) -> None:
    engine = Engine(clock, SeededIds(1))
    engine.add_function("create", engine.channels.answer_create, module="test")
    errors: list[str] = []
    engine.call("create", b'{"buffer_size":"x"}', lambda r, e: errors.append(e.code if e else ""))
    assert errors == ["deserialization_error"]
    assert len(engine.channels) == 0


def test_limit_of_channels_per_worker(clock: VirtualClock) -> None:
    engine = Engine(clock, SeededIds(1))
    engine.add_function("create", engine.channels.answer_create, module="test")
    session = engine.connect(lambda session: None)
    for _ in range(MAX_PER_OWNER):
        engine.channels.create(session)
    with pytest.raises(BusError, match="channel_limit"):
        engine.channels.create(session)
    session.take()
    engine.receive(
        session,
        b'{"type":"invokefunction","function_id":"create","data":{},'
        b'"invocation_id":"7a1c1f0e-1111-4222-a333-444455556666"}',
    )
    assert b"channel_limit" in session.take()[0]
    engine.disconnect(session)
    assert len(engine.channels) == 0


def test_keys_are_those_of_their_ends(channels: Channels) -> None:
    channel = channels.create()
    assert channels.find(channel.id, channel.write_key, "write") is channel
    assert channels.find(channel.id, channel.read_key, "read") is channel
    assert channels.find(channel.id, channel.read_key, "write") is None
    assert channels.find(channel.id, "é", "read") is None
    assert channels.find("nothing", channel.read_key, "read") is None


def test_wire_case_66_frames_pass_one_to_one(channels: Channels) -> None:
    channel = channels.create()
    writer, reader = both(channel)
    frames = [(True, b"a"), (False, b"x" * 65536), (True, b"b")]
    for frame in frames:
        channel.write(*frame)
    assert reader.frames == frames
    channel.finish()
    channel.finish()
    assert reader.codes == [1000]
    assert writer.codes == []
    assert len(channels) == 0


def test_wire_case_67_writer_finishes_before_the_reader_comes(channels: Channels) -> None:
    channel = channels.create()
    assert channel.attach_writer(End())
    channel.write(False, b"a")
    channel.finish()
    assert len(channels) == 1
    reader = End()
    assert channel.attach_reader(reader)
    assert (reader.frames, reader.codes) == ([(False, b"a")], [1000])
    assert len(channels) == 0


def test_wire_case_68_full_buffer_pauses_the_writer(channels: Channels) -> None:
    channel = channels.create(buffer_size=3)
    writer = End()
    channel.attach_writer(writer)
    for number in range(3):
        assert not writer.paused
        channel.write(True, b"%d" % number)
    assert writer.paused
    channel.write(True, b"on its way already")
    reader = End()
    channel.attach_reader(reader)
    assert not writer.paused
    assert [data for _, data in reader.frames] == [b"0", b"1", b"2", b"on its way already"]


def test_bytes_are_bounded_too(channels: Channels) -> None:
    channel = channels.create()
    writer = End()
    channel.attach_writer(writer)
    channel.write(False, bytes(MAX_BYTES - 1))
    assert not writer.paused
    channel.write(False, b"x")
    assert writer.paused


def test_reader_that_holds(channels: Channels) -> None:
    channel = channels.create(buffer_size=2)
    writer, reader = both(channel)
    channel.hold()
    channel.write(True, b"a")
    channel.write(True, b"b")
    assert (reader.frames, writer.paused) == ([], True)
    channel.finish()
    assert reader.codes == []
    channel.release()
    assert [data for _, data in reader.frames] == [b"a", b"b"]
    assert reader.codes == [1000]


def test_reader_that_holds_while_it_is_given_the_rest(channels: Channels) -> None:
    channel = channels.create()

    class Choosy(End):
        def deliver(self, text: bool, data: bytes) -> None:
            super().deliver(text, data)
            channel.hold()

    channel.attach_writer(End())
    channel.write(True, b"a")
    channel.write(True, b"b")
    reader = Choosy()
    channel.attach_reader(reader)
    assert len(reader.frames) == 1
    channel.release()
    assert len(reader.frames) == 2


def test_wire_case_69_second_end_is_refused_and_leaving_reader_ends_the_writer(
    channels: Channels,
) -> None:
    channel = channels.create()
    writer, reader = both(channel)
    assert not channel.attach_reader(End())
    assert not channel.attach_writer(End())
    channel.write(True, b"a")
    assert reader.frames == [(True, b"a")]
    channel.leave()
    channel.leave()
    assert writer.codes == [1000]
    channel.write(True, b"b")
    assert len(channels) == 0


def test_writer_that_comes_after_the_reader_left(channels: Channels) -> None:
    channel = channels.create()
    channel.attach_reader(End())
    channel.leave()
    assert len(channels) == 1
    writer = End()
    assert channel.attach_writer(writer)
    assert writer.codes == [1000]
    assert len(channels) == 0


def test_wire_case_71_unused_channels_expire(channels: Channels, clock: VirtualClock) -> None:
    assert channels.next_deadline_ns() is None
    half, whole = channels.create(), channels.create()
    reader = End()
    half.attach_reader(reader)
    both(whole)
    for _ in range(4):
        clock.advance(SWEEP_NS / 1e9)
        channels.advance()
        channels.advance()
    assert len(channels) == 2
    young = channels.create()
    clock.advance((EXPIRY_NS - 4 * SWEEP_NS) / 1e9)
    channels.advance()
    assert reader.codes == [1008]
    assert len(channels) == 2
    assert channels.find(young.id, young.read_key, "read") is young
    young.close()
    clock.advance(SWEEP_NS / 1e9)
    channels.advance()
    assert channels.next_deadline_ns() is None
    assert len(channels) == 1


def test_owner_that_disconnects(channels: Channels) -> None:
    engine = Engine(VirtualClock(), SeededIds(1))
    session: Session = engine.connect(lambda session: None)
    unused, used = engine.channels.create(session), engine.channels.create(session)
    writer = End()
    unused.attach_writer(writer)
    _, reader = both(used)
    engine.disconnect(session)
    assert writer.codes == [1008]
    assert reader.codes == []
    used.write(True, b"still there")
    used.finish()
    assert reader.frames == [(True, b"still there")]
    assert len(engine.channels) == 0


def test_owner_is_forgotten_with_its_last_channel() -> None:
    engine = Engine(VirtualClock(), SeededIds(1))
    session: Session = engine.connect(lambda session: None)
    first, second = engine.channels.create(session), engine.channels.create(session)
    first.close()
    assert list(engine.channels._owned[session]) == [second.id]
    second.close()
    assert engine.channels._owned == {}


def test_writer_that_finishes_while_it_is_paused(channels: Channels) -> None:
    channel = channels.create(buffer_size=1)
    writer, reader = End(), End()
    channel.attach_writer(writer)
    channel.write(True, b"a")
    channel.write(True, b"b")
    channel.finish()
    channel.hold()
    channel.attach_reader(reader)
    channel.release()
    assert [data for _, data in reader.frames] == [b"a", b"b"]
    assert writer.paused


def test_claims_are_made_on_demand(channels: Channels) -> None:
    made: list[str] = []

    class Claim:
        def open_channel(self, channel_id: str) -> Channel:
            made.append(channel_id)
            return channels.open(channel_id, "w", "r")

    channels.claim(Claim(), "c")
    assert made == []
    assert channels.find("c", "wrong", "read") is None
    channel = channels.find("c", "r", "read")
    assert channel is not None
    assert channels.find("c", "w", "write") is channel
    assert made == ["c"]
    channels.drop("c")
    channels.drop("c")
    assert channels.find("c", "r", "read") is None
