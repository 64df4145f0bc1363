"""A link brings every message once and in order, or ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iii_engine.core.cluster.link import HEADER, LENGTH, MAX_MESSAGE, Link, LinkBroken


def pair(packet_bytes: int = 100, window: int = 1000) -> tuple[Link, Link]:
    return Link(1, packet_bytes, window), Link(2, packet_bytes, window)


def packets(link: Link) -> list[bytes]:
    return [packet for _, packet in link.packets()]


@given(st.lists(st.binary(min_size=1, max_size=700), max_size=30), st.integers(40, 900))
def test_every_message_arrives_whole_and_in_order(messages: list[bytes], size: int) -> None:
    one, two = pair(size, window=size * 2)
    one.push(messages)
    got: list[bytes] = []
    while one.queued_bytes:
        for packet in packets(one):
            assert len(packet) <= size
            got += two.receive(packet)
        one.receive(two.word()[1])
    assert got == messages
    assert not one.unconfirmed
    assert one.unsent() == []


def test_small_messages_share_a_packet() -> None:
    one, two = pair()
    one.push([b"a", b"b", b"c"])
    (packet,) = packets(one)
    assert two.receive(packet) == [b"a", b"b", b"c"]


def test_no_more_leaves_than_the_window_has_room_for() -> None:
    one, two = pair(packet_bytes=HEADER.size + LENGTH.size + 100, window=250)
    one.push([b"x" * 100] * 5)
    first = packets(one)
    assert len(first) == 3
    assert one.full
    assert one.queued_bytes == 200
    for packet in first:
        two.receive(packet)
    assert two.owes_word
    assert two.behind
    one.receive(two.word()[1])
    assert not two.behind
    assert len(packets(one)) == 2


def test_a_missing_packet_ends_the_link() -> None:
    one, two = pair()
    one.push([b"a"])
    packets(one)
    one.push([b"b"])
    (second,) = packets(one)
    with pytest.raises(LinkBroken, match="packet 0 is missing, 1 came"):
        two.receive(second)


def test_a_word_shows_that_the_last_packet_is_missing() -> None:
    one, two = pair()
    one.push([b"a"])
    packets(one)
    assert one.unconfirmed
    with pytest.raises(LinkBroken, match="packet 0 is missing"):
        two.receive(one.word()[1])


def test_words_use_up_no_number() -> None:
    one, two = pair()
    for _ in range(3):
        assert two.receive(one.word()[1]) == []
        one.receive(two.word()[1])
    one.push([b"a"])
    assert two.receive(packets(one)[0]) == [b"a"]


def test_it_knows_what_the_other_end_cannot_have_got() -> None:
    one, two = pair(packet_bytes=HEADER.size + LENGTH.size + 100, window=300)
    messages = [bytes([65 + i]) * 100 for i in range(5)]
    one.push(messages)
    first, *_ = packets(one)
    two.receive(first)
    one.receive(two.word()[1])
    assert one.unsent() == messages[3:]
    assert one.unsent(2) == messages[2:]
    assert one.unsent(0) == messages[1:]  # what is confirmed was got, whatever is said


def test_a_message_that_left_in_part_was_not_got() -> None:
    one, _ = pair(packet_bytes=HEADER.size + LENGTH.size + 100, window=100)
    one.push([b"x" * 150])
    packets(one)
    assert one.unsent() == [b"x" * 150]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x00\x00", "cut inside its length"),
        (LENGTH.pack(0) + b"x", "a message of 0 bytes"),
        (LENGTH.pack(MAX_MESSAGE + 1) + b"x", "a message of"),
    ],
)
def test_what_no_link_sends_ends_it(content: bytes, what: str) -> None:
    _, two = pair()
    with pytest.raises(LinkBroken, match=what):
        two.receive(HEADER.pack(b"L", 1, 2, 0, 0) + content)


def test_what_was_never_sent_cannot_be_confirmed() -> None:
    _, two = pair()
    with pytest.raises(LinkBroken, match="7 packets are confirmed, 0 were sent"):
        two.receive(HEADER.pack(b"L", 1, 2, 0, 7))
