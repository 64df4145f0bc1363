from __future__ import annotations

import pytest

from iii_sdk.websocket import FRAGMENT, MAX_FRAME, frame_header


class Wire:
    """Stands for the underlying transport."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(bytes(data))


def parse(data: bytes) -> list[tuple[int, bool, int, int]]:
    """(opcode, fin, size, mask) of each frame in bytes."""
    frames = []
    while data:
        size, start = data[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        assert data[1] & 0x80, "a client's frame is masked"
        mask = int.from_bytes(data[start : start + 4], "big")
        frames.append((data[0] & 0x0F, bool(data[0] & 0x80), size, mask))
        data = data[start + 4 + size :]
    return frames


def socket_on(wire: Wire):
    from iii_sdk.websocket import Socket

    socket = Socket(None)
    socket._write = wire.write
    return socket


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, MAX_FRAME])
def test_messages_of_every_size_are_one_frame(size):
    wire = Wire()
    socket_on(wire).send([b"x" * size])
    assert parse(wire.writes[0]) == [(1, True, size, 0)]
    assert parse(frame_header(2, size) + b"x" * size) == [(2, True, size, 0)]


def test_all_messages_of_a_tick_are_one_write():
    wire = Wire()
    socket_on(wire).send([b"a", b"bc", b"d" * 200])
    assert len(wire.writes) == 1
    assert [frame[2] for frame in parse(wire.writes[0])] == [1, 2, 200]


def test_a_larger_message_is_fragmented():
    wire = Wire()
    socket_on(wire).send([b"x" * (MAX_FRAME + 1)])
    frames = parse(wire.writes[0])
    assert [f[0] for f in frames] == [1] + [0] * 16
    assert [f[1] for f in frames] == [False] * 16 + [True]
    assert all(f[2] <= FRAGMENT for f in frames)
    assert sum(f[2] for f in frames) == MAX_FRAME + 1
