"""Peers that ping, and do not read what they are answered."""

from __future__ import annotations

import fcntl
import itertools
import sys
import termios
from collections.abc import Callable

import pytest
from tests.support.hostile import UPGRADE, Pair, Peer, ThreadedEngine, frame
from tests.support.waiting import until_sync

from iii_engine.modules.worker_manager.module import WorkerManagerModule
from iii_engine.net.message_socket import _sockets
from iii_engine.net.websocket import STALL_SECONDS, SWEEP_SECONDS

PONG = 10

#: More than the kernel takes for a peer that does not read, and less than pauses a worker's socket.
FLOOD = 5 * 1024 * 1024

Path = Callable[[ThreadedEngine], tuple[int, bytes]]


def worker(engine: ThreadedEngine) -> tuple[int, bytes]:
    return engine.port, b"/"


def telemetry(engine: ThreadedEngine) -> tuple[int, bytes]:
    return engine.port, b"/otel"


def stream(engine: ThreadedEngine) -> tuple[int, bytes]:
    address = engine.engine.app.modules["iii-stream"].address
    assert address is not None
    return address[1], b"/"


def channel_writer(engine: ThreadedEngine) -> tuple[int, bytes]:
    channel = engine.run(lambda: engine.engine.core.channels.create())
    return engine.port, f"/ws/channels/{channel.id}?key={channel.write_key}&dir=write".encode()


def channel_reader(engine: ThreadedEngine) -> tuple[int, bytes]:
    channel = engine.run(lambda: engine.engine.core.channels.create())
    return engine.port, f"/ws/channels/{channel.id}?key={channel.read_key}&dir=read".encode()


def connect(port: int, path: bytes) -> Peer:
    peer = Peer(port, upgrade=False, unread=4096)
    peer.send(UPGRADE.replace(b"GET / ", b"GET %b " % path))
    assert b" 101 " in peer.header()
    return peer


def flood(peer: Peer) -> list[bytes]:
    """Ping and read nothing, until the engine has seen all of it; what each ping said."""
    said = [b"%0100d" % number for number in range(FLOOD // 102)]
    peer.send(b"".join(frame(9, each) for each in said))
    until_sync(lambda: all(arrived(descriptor) == 0 for descriptor in list(_sockets)))
    return said


def arrived(descriptor: int) -> int:
    """Bytes that the kernel has for the engine."""
    return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)


def pongs(peer: Peer, last: bytes) -> list[bytes]:
    """Everything that pings were answered with up to this."""
    found = [data for opcode, data in until_pong(peer, last) if opcode == PONG]
    assert found[-1] == last
    return found


def until_pong(peer: Peer, last: bytes) -> list[tuple[int, bytes]]:
    frames = peer.frames()
    before = list(itertools.takewhile(lambda each: each != (PONG, last), frames))
    return [*before, (PONG, last)]


@pytest.mark.parametrize("where", [worker, telemetry, stream, channel_writer, channel_reader])
def test_of_the_pings_of_a_peer_that_does_not_read_only_the_latest_waits_for_its_answer(
    where: Path,
) -> None:
    with ThreadedEngine().running() as engine, connect(*where(engine)) as peer:
        said = flood(peer)
        answered = pongs(peer, said[-1])
        assert len(answered) < len(said)
        peer.send(frame(9, b"again"))
        assert pongs(peer, b"again") == [b"again"]


def test_every_ping_of_a_peer_that_reads_is_answered() -> None:
    with ThreadedEngine().running() as engine, connect(*worker(engine)) as peer:
        said = [b"%d" % number for number in range(10)]
        peer.send(b"".join(frame(9, each) for each in said))
        assert pongs(peer, said[-1]) == said


def test_a_worker_that_pings_and_does_not_read_is_closed() -> None:
    with ThreadedEngine().running() as engine, Pair(engine.port) as pair:
        module = engine.engine.app.modules["iii-worker-manager"]
        assert isinstance(module, WorkerManagerModule)
        listener, core = module.listener, engine.engine.core

        def sweep() -> None:
            for each in list(listener.sockets):
                each.sweep(False)

        with connect(*worker(engine)) as peer:
            flood(peer)
            assert pair.works()
            assert len(core.sessions) == 3
            for _ in range(STALL_SECONDS // SWEEP_SECONDS + 1):
                peer.send(frame(9))
                assert pair.works()
                engine.run(sweep)
            until_sync(lambda: len(core.sessions) == 2)
        assert pair.works()
