"""Frames that never end, and what is left of large ones that did."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest
from tests.support.engine import EngineProcess
from tests.support.hostile import UPGRADE, Pair, Peer, ThreadedEngine, frame
from tests.support.waiting import until_sync

from iii_engine.net import reading
from iii_engine.net.message_socket import unfinished

MIB = 1024 * 1024


def rss_mib(pid: int) -> int:
    return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(pid)])) // 1024


@pytest.fixture
def engine() -> Iterator[ThreadedEngine]:
    with ThreadedEngine().running() as engine:
        yield engine


def begun(size: int, of: int = 16 * MIB) -> bytes:
    """The first bytes of a frame."""
    return frame(1, bytes(of))[: 14 + size]


def test_frames_that_never_end_share_a_bound(engine_process: EngineProcess) -> None:
    before = rss_mib(engine_process.pid)
    part = begun(15 * MIB)
    with Pair(engine_process.port) as healthy:
        peers = [Peer(engine_process.port) for _ in range(40)]
        for n, peer in enumerate(peers):
            peer.send(part)
            if n % 8 == 0:
                assert healthy.works()
        assert healthy.works()
        # 600 MiB were sent. The bound is 256, and freed memory may not be given back at once.
        assert rss_mib(engine_process.pid) - before < 420
        for peer in peers:
            peer.finish()
        codes = [peer.close_code() for peer in peers]
        assert codes.count(1013) >= 40 - 256 // 15
        for peer in peers:
            peer.socket.close()
        assert healthy.works()


def test_large_messages_leave_nothing_behind_that_adds_up(engine_process: EngineProcess) -> None:
    before = rss_mib(engine_process.pid)
    whole = frame(1, b'{"type":"ping","filler":"%b"}' % (b"x" * (16 * MIB - 100)))
    with Pair(engine_process.port) as healthy:
        peers = [Peer(engine_process.port) for _ in range(40)]
        for peer in peers:
            peer.send(whole)
            assert peer.message() == {"type": "pong"}
        assert healthy.works()
        assert rss_mib(engine_process.pid) - before < 420
        for peer in peers:  # what was given back is there again when it is needed
            peer.send(whole)
            assert peer.message() == {"type": "pong"}
            peer.socket.close()
        assert healthy.works()


def slowly(data: bytes) -> Iterator[bytes]:
    return (data[n : n + 97] for n in range(0, len(data), 97))


def doubling(data: bytes) -> Iterator[bytes]:
    """Pieces that just fill what picows has room for."""
    end = 3840
    while data:
        yield data[:end]
        data = data[end:]
        end *= 2


@pytest.mark.parametrize(
    ("send", "size"), [(doubling, MIB), (lambda data: iter([data]), 5 * MIB), (slowly, 70_000)]
)
def test_what_a_frame_has_so_far_is_known_exactly(
    engine: ThreadedEngine, send: Callable[[bytes], Iterator[bytes]], size: int
) -> None:
    data = begun(size)
    with Peer(engine.port) as peer:
        for part in send(data):
            peer.send(part)
        until_sync(lambda: unfinished.total == len(data), f"{unfinished.total} are counted")
        peer.send(frame(1, bytes(16 * MIB))[len(data) :])
        until_sync(lambda: unfinished.total == 0)
        peer.tell({"type": "ping"})
        assert peer.message() == {"type": "pong"}
    until_sync(lambda: unfinished.total == 0)


def test_fragments_and_the_frame_behind_them_count_together(
    engine: ThreadedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfinished, "bound", 8 * MIB)
    with Pair(engine.port) as healthy, Peer(engine.port) as both, Peer(engine.port) as less:
        less.send(begun(4 * MIB))
        both.send(frame(1, bytes(2 * MIB), fin=False))
        both.send(begun(3 * MIB))
        assert both.close_code() == 1013
        until_sync(lambda: 4 * MIB <= unfinished.total < 5 * MIB)
        assert healthy.works()


def test_who_is_sent_away_may_go_on_sending_and_nothing_is_kept(
    engine: ThreadedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfinished, "bound", MIB)
    with Pair(engine.port) as healthy, Peer(engine.port) as peer:
        peer.send(begun(15 * MIB))
        assert unfinished.total == 0
        assert peer.close_code() == 1013
        assert healthy.works()
    until_sync(lambda: len(engine.engine.core.sessions) == 0)


def test_room_that_is_given_back_does_no_harm(
    engine: ThreadedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading.kept, "bound", MIB)
    with Peer(engine.port) as one, Peer(engine.port) as two:
        for n in range(20):
            for peer in (one, two):
                text = '{"type":"ping","filler":"%s"}' % (str(n % 10) * (n * 50_000))
                data = frame(1, text.encode())
                peer.send(data[: len(data) // 3])
            for peer in (one, two):
                peer.send(data[len(data) // 3 :])
                assert peer.message() == {"type": "pong"}
    until_sync(lambda: reading.kept.total == 0)


def test_a_head_that_fills_the_buffer_is_read(engine: ThreadedEngine) -> None:
    with Peer(engine.port, upgrade=False) as peer:
        filler = b"X-Filler: " + b"x" * (3840 - len(UPGRADE) - 12) + b"\r\n"
        head = UPGRADE[:-2] + filler + b"\r\n"
        assert len(head) == 3840
        peer.send(head)
        assert b" 101 " in peer.header()
        assert peer.message()["type"] == "workerregistered"
        peer.send(begun(2 * MIB))
        until_sync(lambda: unfinished.total == 2 * MIB + 14, f"{unfinished.total} are counted")
