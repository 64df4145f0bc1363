"""Peers that do not get as far as a WebSocket, and those that send before they may."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.hostile import UPGRADE, Pair, Peer, ThreadedEngine, frame
from tests.support.waiting import until_sync

TIMEOUT_MS = 400
OPTIONS = {"iii-worker-manager": {"handshake_timeout_ms": TIMEOUT_MS}}


HEAD = UPGRADE[:-2]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (HEAD + b"no colon\r\n\r\n", 400),
        (HEAD + b"X: \x00\r\n\r\n", 400),
        (HEAD + b"\xff\xfe: x\r\n\r\n", 400),
        (HEAD + b"X: a\r\n folded\r\n\r\n", 400),
        (HEAD + b"X: \xff\xe9\r\n\r\n", 101),
        (HEAD + b"Origin: http://\xff\r\n\r\n", 403),
        (HEAD + b"Origin: http://[::1\r\n\r\n", 403),
        (HEAD + b"Origin: http://localhost\r\nOrigin: http://evil.example\r\n\r\n", 403),
        (HEAD + b"Content-Length: 5\r\n\r\nhello", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (HEAD + b"".join(b"X-%d: a\r\n" % i for i in range(400)) + b"\r\n", 400),
        (UPGRADE.replace(b"GET", b"POST"), 400),
        (UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
        (UPGRADE.replace(b"Version: 13", b"Version: 12"), 400),
        (UPGRADE.replace(b"Version: 13", b"Version: \xff13"), 400),
        (UPGRADE.replace(b"Key: dGhl", b"Key: !!!!"), 400),
        (UPGRADE.replace(b"Key: dGhl", b"Key: \xff\xff\xff\xff"), 400),
        (UPGRADE.replace(b"Connection: Upgrade", b"Connection: \xff"), 400),
        (UPGRADE.replace(b"Upgrade: websocket", b"Upgrade: \xff"), 400),
        (UPGRADE.replace(b"Upgrade: websocket\r\n", b""), 400),
        (UPGRADE.replace(b"GET / ", b"GET //[ "), 404),
        (UPGRADE.replace(b"GET / ", b"GET /\xff?\x00 "), 404),
        (UPGRADE.replace(b"GET / ", b"GET /ws/channels/x?key=%ff%00&dir=read "), 404),
        (b"\r\n\r\n", 400),
        (b"\x00\xff" * 100 + b"\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 2, 200),
    ],
    ids=range(26),
)
def test_requests_that_are_no_upgrade_get_a_status(
    engine: ThreadedEngine,
    healthy: Pair,
    request_bytes: bytes,
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Peer(engine.port, upgrade=False) as peer:
        peer.send(request_bytes)
        assert peer.header().startswith(b"HTTP/1.1 %d " % status)
    assert healthy.works()
    assert not [r for r in caplog.records if r.name == "asyncio"]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300), st.integers(0, len(UPGRADE)), st.integers(0, 20))
def test_any_damage_to_the_request_is_survived(
    engine: ThreadedEngine, healthy: Pair, noise: bytes, at: int, cut: int
) -> None:
    with Peer(engine.port, upgrade=False) as peer:
        peer.send(UPGRADE[:at] + noise + UPGRADE[at + cut :])
        peer.finish()
        head = peer.header()
        assert not head or head.startswith((b"HTTP/1.1 101 ", b"HTTP/1.1 4"))
    assert healthy.works()


@pytest.mark.parametrize("ending", [b"", b"\r\n\r\n"])
def test_a_header_larger_than_16_kib_ends_the_connection(
    engine: ThreadedEngine, healthy: Pair, ending: bytes
) -> None:
    with Peer(engine.port, upgrade=False) as peer:
        for _ in range(100):
            peer.send(HEAD + b"X: " + b"a" * 20_000 + ending)
        assert peer.header() == b""
    assert healthy.works()


def test_who_does_not_ask_in_time_is_disconnected(engine: ThreadedEngine, healthy: Pair) -> None:
    """Silent ones, slow ones (each byte in time, the request not) and half-finished ones alike."""
    peers = [Peer(engine.port, upgrade=False) for _ in range(200)]
    for peer in peers[::3]:
        peer.send(UPGRADE[:-4])
    began = time.monotonic()
    slow = peers[1]
    for number in range(len(UPGRADE)):
        slow.send(UPGRADE[number : number + 1])
        time.sleep(0.01)
        if time.monotonic() - began > 2 * TIMEOUT_MS / 1000:
            break
    assert healthy.works()
    for peer in peers:
        with peer:
            assert peer.header() == b""
    assert len(engine.engine.core.sessions) == 2


def test_frames_in_one_packet_with_the_request_are_read(
    engine: ThreadedEngine, healthy: Pair
) -> None:
    with Peer(engine.port, upgrade=False) as peer:
        peer.send(UPGRADE + frame(1, b'{"type":"ping"}'))
        assert b" 101 " in peer.header()
        assert peer.message()["type"] == "workerregistered"
        assert peer.message() == {"type": "pong"}
    assert healthy.works()


def test_a_second_request_on_the_connection_is_garbage(
    engine: ThreadedEngine, healthy: Pair
) -> None:
    with Peer(engine.port, upgrade=False) as peer:
        peer.send(UPGRADE * 2)
        assert b" 101 " in peer.header()
        assert peer.close_code() == 1002
    assert healthy.works()


def test_who_leaves_in_the_middle_leaves_nothing(engine: ThreadedEngine, healthy: Pair) -> None:
    for size in range(0, len(UPGRADE), 10):
        with Peer(engine.port, upgrade=False) as peer:
            peer.send(UPGRADE[:size])
    with Peer(engine.port, upgrade=False) as peer:
        peer.send(UPGRADE)  # and does not stay for the answer
    until_sync(lambda: len(engine.engine.core.sessions) == 2)
    assert healthy.works()
