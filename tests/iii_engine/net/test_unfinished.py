"""Messages that never end, from many peers at once."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from tests.support.hostile import Pair, Peer, ThreadedEngine, frame
from tests.support.waiting import until_sync

from iii_engine.net.message_socket import unfinished
from iii_engine.net.unfinished import Unfinished

MIB = 1024 * 1024


class Sender:
    def __init__(self) -> None:
        self.closed: tuple[int, str] | None = None

    def send_away(self, code: int, reason: str) -> None:
        self.closed = (code, reason)


def test_the_largest_is_closed() -> None:
    all_ = Unfinished(bound=100)
    small, large, late = Sender(), Sender(), Sender()
    all_.note(small, 30)
    all_.note(large, 60)
    all_.note(small, 35)
    assert all_.total == 95
    all_.note(late, 20)
    assert large.closed == (1013, "too much is being received")
    assert all_.total == 55
    all_.note(small, 0)
    all_.note(large, 0)  # its end
    assert (all_.total, late.closed) == (20, None)


def test_one_that_is_too_large_alone_goes_itself() -> None:
    all_ = Unfinished(bound=100)
    sender = Sender()
    all_.note(sender, 101)
    assert sender.closed is not None
    assert all_.total == 0


@pytest.fixture
def engine() -> Iterator[ThreadedEngine]:
    with ThreadedEngine().running() as engine:
        yield engine


def test_peers_that_never_finish_share_a_bound(
    engine: ThreadedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfinished, "bound", 8 * MIB)
    with Pair(engine.port) as healthy:
        peers = [Peer(engine.port) for _ in range(6)]
        for peer in peers:
            peer.send(frame(2, bytes(MIB), fin=False))
            peer.send(frame(0, bytes(MIB), fin=False))
        until_sync(lambda: len(engine.engine.core.sessions) == 6, "two were closed")
        assert unfinished.total <= 8 * MIB
        assert healthy.works()
        codes = []
        for peer in peers:
            peer.finish()
            codes.append(peer.close_code())
            peer.socket.close()
        assert codes.count(1013) == 2
        until_sync(lambda: unfinished.total == 0)
        assert healthy.works()
    gc.collect()
