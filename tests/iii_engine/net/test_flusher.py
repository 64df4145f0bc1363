from __future__ import annotations

import asyncio

import pytest

from iii_engine.core.backlog import Backlog
from iii_engine.net.assembly import text_frames
from iii_engine.net.flusher import JOIN_BELOW, Flusher, write_messages


class Written(list[bytes]):
    """The part of a transport that takes data."""

    write = list.append
    writelines = list.extend


def test_messages_are_framed_in_order_however_they_are_written() -> None:
    messages = [b"x" * size for size in (0, 125, 126, 4096, 4097, 65_535, 65_536, 300_000, 1)]
    written = Written()
    write_messages(messages, written)
    frames = [part for message in messages for part in text_frames(message)]
    assert b"".join(written) == b"".join(frames)


def test_large_messages_are_written_as_they_are_and_small_ones_together() -> None:
    large = b"x" * (JOIN_BELOW + 1)
    written = Written()
    write_messages([b"a", b"b", large, b"c"], written)
    assert [len(part) for part in written] == [6, 4, len(large), 3]
    assert written[2] is large


class Peer:
    def __init__(self, broken: bool = False) -> None:
        self.flushed = 0
        self.broken = broken
        self.alive = True

    def flush(self) -> None:
        self.flushed += 1
        if self.broken:
            raise ValueError("broken")

    def cut(self) -> None:
        self.alive = False


async def test_all_peers_of_a_tick_are_flushed_once() -> None:
    flusher, peers = Flusher(asyncio.get_running_loop(), Backlog()), [Peer(), Peer()]
    for peer in peers:
        flusher.add(peer)
    assert [peer.flushed for peer in peers] == [0, 0]
    await asyncio.sleep(0)
    assert [peer.flushed for peer in peers] == [1, 1]


async def test_a_peer_that_cannot_be_written_to_holds_up_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    flusher = Flusher(asyncio.get_running_loop(), Backlog())
    peers = [Peer(), Peer(broken=True), Peer()]
    for peer in peers:
        flusher.add(peer)
    await asyncio.sleep(0)
    assert [peer.flushed for peer in peers] == [1, 1, 1]
    assert [peer.alive for peer in peers] == [True, False, True]
    assert "cannot write to a peer" in caplog.text


async def test_who_cannot_be_written_to_in_the_midst_of_a_message_goes_after_it() -> None:
    flusher, peer = Flusher(asyncio.get_running_loop(), Backlog()), Peer(broken=True)
    flusher.write(peer, peer.flush)
    assert peer.alive
    await asyncio.sleep(0)
    assert not peer.alive
