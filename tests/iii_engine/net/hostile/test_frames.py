"""Peers that break WebSocket itself. Whatever they send, the others do not notice."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.hostile import Pair, Peer, ThreadedEngine, frame
from tests.support.waiting import until_sync

MIB = 1024 * 1024

#: What the engine may say to a peer that breaks the protocol; not 1011, which is a defect of ours.
CODES = {None, 1000, 1002, 1007, 1009}


PAYLOADS = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=50).map(str.encode),
    st.sampled_from(
        [
            b'{"type":"ping"}',
            b'{"type":"registerfunction","id":"hostile::f"}',
            b'{"type":"invokefunction","invocation_id":"i","function_id":"hostile::f","data":1}',
            b"\xc3",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\x03\xe8",
            b"OTLP\xff",
            b"x" * 126,
            b"x" * 70_000,
        ]
    ),
)
FRAMES = st.builds(
    frame,
    st.sampled_from([0, 0, 1, 1, 1, 2, 3, 7, 8, 9, 10, 11, 15]),
    PAYLOADS,
    fin=st.booleans(),
    rsv=st.sampled_from([0] * 9 + [1, 2, 4, 7]),
)
#: Headers that say something else than what follows.
LIES = st.sampled_from(
    [
        b"\x81\x05abcde",  # no mask
        b"\x81\xfe\x00\x05" + bytes(9),  # a short length in the long form
        b"\x81\xff" + (5).to_bytes(8, "big") + bytes(9),
        b"\x81\xff" + b"\xff" * 8 + bytes(9),  # a negative length
        b"\x82\xff" + (1 << 40).to_bytes(8, "big") + bytes(100),  # a terabyte
        b"\x89\xfe\x00\x7e" + bytes(130),  # a long ping
        b"\x88\x81" + bytes(5),  # half a close code
        b"\x81",
        b"\x81\xfe\x10",
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(FRAMES, FRAMES, LIES), min_size=1, max_size=8), st.integers(1, 5000))
def test_any_frames_end_with_a_right_code(
    engine: ThreadedEngine, healthy: Pair, frames: list[bytes], cut: int
) -> None:
    data = b"".join(frames)
    with Peer(engine.port) as peer:
        for start in range(0, len(data), max(cut, len(data) // 20)):
            peer.send(data[start : start + max(cut, len(data) // 20)])
        peer.finish()
        code = peer.close_code()
        assert code in CODES or 3000 <= (code or 0) <= 4999 or 1001 <= (code or 0) <= 1014
        assert code != 1011
    assert healthy.works()


def test_what_claims_to_be_too_large_is_refused_before_it_arrives(
    engine: ThreadedEngine, healthy: Pair
) -> None:
    with Peer(engine.port) as peer:
        peer.send(b"\x82\xff" + (17 * MIB).to_bytes(8, "big") + bytes(4))
        assert peer.close_code() == 1009
    with Peer(engine.port) as peer:
        peer.send(frame(2, bytes(15 * MIB), fin=False))
        for _ in range(4):
            peer.send(frame(0, bytes(15 * MIB), fin=False))
        assert peer.close_code() in (1009, None)  # None: it closed while we were sending
    assert healthy.works()


def test_a_message_of_endless_empty_fragments_takes_no_memory(
    engine: ThreadedEngine, healthy: Pair
) -> None:
    with Peer(engine.port) as peer:
        peer.send(frame(1, fin=False) + frame(0, fin=False) * 200_000)
        peer.send(frame(0, b'{"type":"ping"}'))
        assert peer.message() == {"type": "pong"}
    assert healthy.works()


def test_pings_without_end_are_answered_as_far_as_the_peer_reads(
    engine: ThreadedEngine, healthy: Pair
) -> None:
    """Nobody is made to keep what a peer does not collect."""
    with Peer(engine.port) as peer:
        peer.socket.settimeout(0.5)
        try:
            for _ in range(300):
                peer.socket.sendall(frame(9, b"x" * 125) * 1000)
        except OSError:  # the engine stopped reading
            pass
        assert healthy.works()
    until_sync(lambda: len(engine.engine.core.sessions) == 2)


def test_after_all_that_only_the_healthy_are_connected(
    engine: ThreadedEngine, healthy: Pair
) -> None:
    until_sync(lambda: len(engine.engine.core.sessions) == 2)
    assert healthy.works()
    assert "hostile::f" not in engine.engine.core.registry


def test_pings_of_a_peer_that_is_gone_fill_no_log(
    engine: ThreadedEngine, healthy: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        with Peer(engine.port) as peer:
            peer.send(frame(9, b"x" * 125) * 5000)
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert healthy.works()
    until_sync(lambda: len(engine.engine.core.sessions) == 2)
    assert [r for r in caplog.records if r.name == "aiofastnet"] == []
