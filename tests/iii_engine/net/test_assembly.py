"""Messages out of frames and frames out of messages."""

from __future__ import annotations

import pytest

from iii_engine.net.assembly import (
    BINARY,
    CONTINUATION,
    FRAGMENT,
    MAX_FRAME,
    TEXT,
    Assembler,
    Violation,
    text_frames,
)


def test_whole_messages_pass() -> None:
    assembler = Assembler(100)
    assert assembler.feed(TEXT, True, b"abc") == (TEXT, b"abc")
    assert assembler.feed(TEXT, True, "ä€😀".encode()) == (TEXT, "ä€😀".encode())
    assert assembler.feed(BINARY, True, b"\xff") == (BINARY, b"\xff")


def test_fragments_are_joined_and_the_next_message_starts_afresh() -> None:
    assembler = Assembler(100)
    euro = "€".encode()
    assert assembler.feed(TEXT, False, b"a" + euro[:1]) is None
    assert assembler.feed(CONTINUATION, False, euro[1:2]) is None
    assert assembler.feed(CONTINUATION, True, euro[2:]) == (TEXT, b"a" + euro)
    assert assembler.feed(BINARY, False, b"\xff") is None
    assert assembler.feed(CONTINUATION, True, b"\xfe") == (BINARY, b"\xff\xfe")


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([(TEXT, True, b"\xff")], 1007),
        ([(TEXT, True, b"\xed\xa0\x80")], 1007),
        ([(TEXT, False, b"ok"), (CONTINUATION, False, b"\xc0")], 1007),
        ([(TEXT, False, b"\xe2"), (CONTINUATION, True, b"")], 1007),
        ([(CONTINUATION, True, b"x")], 1002),
        ([(TEXT, False, b"x"), (TEXT, True, b"y")], 1002),
        ([(TEXT, False, b"x"), (BINARY, True, b"y")], 1002),
        ([(BINARY, True, b"x" * 101)], 1009),
        ([(BINARY, False, b"x" * 60), (CONTINUATION, True, b"x" * 60)], 1009),
    ],
)
def test_violations(frames: list[tuple[int, bool, bytes]], code: int) -> None:
    assembler = Assembler(100)
    for frame in frames[:-1]:
        assembler.feed(*frame)
    with pytest.raises(Violation) as raised:
        assembler.feed(*frames[-1])
    assert raised.value.code == code


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, MAX_FRAME])
def test_one_frame_up_to_the_limit(size: int) -> None:
    header, payload = text_frames(b"x" * size)
    assert header[0] == 0x81
    assert len(payload) == size
    length = header[1]
    if length == 126 or length == 127:
        length = int.from_bytes(header[2:], "big")
    assert length == size


def test_larger_messages_leave_in_fragments_cut_between_characters() -> None:
    message = ("a" + "€" * (MAX_FRAME // 3 + 1)).encode()
    parts = text_frames(message)
    headers, payloads = parts[::2], parts[1::2]
    assert b"".join(payloads) == message
    assert headers[0][0] == 0x01
    assert headers[-1][0] == 0x80
    assert {h[0] for h in headers[1:-1]} == {0x00}
    for header, payload in zip(headers, payloads, strict=True):
        payload.decode()
        assert len(payload) == int.from_bytes(header[2:], "big") <= FRAGMENT
