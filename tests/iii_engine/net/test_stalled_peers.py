"""Peers that connect and do nothing, or never read. Numbers are smaller than those of the bench."""

from __future__ import annotations

import socket
import subprocess
from contextlib import ExitStack

import pytest
from tests.support.engine import EngineProcess
from tests.support.hostile import Pair, Peer, ThreadedEngine
from tests.support.waiting import until_sync

from iii_engine.core.sessions import OUTBOX_LIMIT

MIB = 1024 * 1024
BOUND = 8 * MIB


@pytest.mark.promise(
    "Connections",
    "Peers that do not read are closed before they fill the memory, and nobody waits for them.",
)
def test_peers_that_do_not_read_are_closed_before_they_fill_the_memory() -> None:
    with ThreadedEngine().running() as engine, Pair(engine.port) as pair, ExitStack() as stack:
        core = engine.engine.core
        core.backlog.bound = BOUND
        peers = [stack.enter_context(Peer(engine.port)) for _ in range(12)]
        for number, peer in enumerate(peers):
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.tell({"type": "registerfunction", "id": f"stalled::{number}"})
            peer.tell({"type": "ping"})
            assert peer.message() == {"type": "pong"}
        call = {"type": "invokefunction", "action": {"type": "void"}, "data": "x" * MIB}
        for _ in range(8):
            for number in range(len(peers)):
                pair.caller.tell({**call, "function_id": f"stalled::{number}"})
        assert pair.works()
        assert 2 <= len(core.sessions) < 14
        until_sync(lambda: core.backlog.total <= BOUND)
        stack.close()
        until_sync(lambda: len(core.sessions) == 2)
        assert pair.works()
        assert core.backlog.total < MIB


def test_a_caller_that_does_not_collect_its_answers_is_owed_no_more_than_the_limit() -> None:
    with ThreadedEngine().running() as engine, Pair(engine.port) as pair:
        core = engine.engine.core
        with Peer(engine.port) as greedy:
            value = {"scope": "s", "key": "k", "value": "x" * MIB}
            store = {"type": "invokefunction", "function_id": "state::set", "data": value}
            greedy.tell({**store, "invocation_id": "0"})
            assert "error" not in greedy.message()
            fetch = {"type": "invokefunction", "function_id": "state::get"}
            fetch |= {"invocation_id": "i", "data": {"scope": "s", "key": "k"}}
            for _ in range(1_000):
                greedy.tell(fetch)
                assert core.backlog.total <= OUTBOX_LIMIT + 2 * MIB
            assert pair.works()
        until_sync(lambda: core.backlog.total == 0)
        assert pair.works()


def rss_kib(pid: int) -> int:
    return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(pid)]))


@pytest.mark.promise("Connections", "An idle connection costs at most 30 KiB.")
def test_an_idle_peer_costs_at_most_30_kib(engine_process: EngineProcess) -> None:
    with ExitStack() as stack:
        warm = [stack.enter_context(Peer(engine_process.port)) for _ in range(50)]
        before = rss_kib(engine_process.pid)
        peers = [stack.enter_context(Peer(engine_process.port)) for _ in range(400)]
        grown = rss_kib(engine_process.pid) - before
        assert grown / len(peers) <= 30, f"{grown} KiB for {len(peers)} peers"
        assert len(warm) == 50
