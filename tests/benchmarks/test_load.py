"""The caller accounts for every call: against the bare relay, and against peers that misbehave."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import picows
import pytest
from picows import WSFrame, WSListener, WSTransport
from tests.support.waiting import until

from benchmarks import load, wire
from benchmarks.bare_relay import Relay, listen, port_of
from benchmarks.batching import connect
from benchmarks.echo_worker import ECHO, EchoWorker
from benchmarks.load import Plan, drive

Reply = Callable[[bytes], list[bytes]]


PING = b"\x89\0"


class Peer(WSListener):
    """Answers each call with whatever `reply` makes of its id, and what is put `behind` it."""

    def __init__(self, reply: Reply, behind: bytes = b"") -> None:
        self._reply = reply
        self._behind = behind

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        call_id = wire.id_of(frame.get_payload_as_bytes())
        if call_id:
            for message in self._reply(call_id):
                answer = wire.server_header(len(message)) + message
                transport.underlying_transport.write(answer + self._behind)


@asynccontextmanager
async def peer(reply: Reply, behind: bytes = b"") -> AsyncIterator[str]:
    server = await picows.ws_create_server(lambda _: Peer(reply, behind), "127.0.0.1", 0)
    yield f"ws://127.0.0.1:{port_of(server)}/"
    server.close()


def result(call_id: bytes) -> bytes:
    return wire.RESULT_HEAD + call_id + b'","result":1}'


def plan(url: str, calls: int) -> Plan:
    return Plan(url, ECHO, "100 B", 8, watch=os.getpid(), calls=calls)


async def test_every_call_through_the_relay_is_answered_once() -> None:
    server = await listen(Relay(asyncio.get_running_loop()))
    url = f"ws://127.0.0.1:{port_of(server)}/"
    ready = asyncio.Event()
    worker = await connect(EchoWorker(ready), url)
    await asyncio.wait_for(ready.wait(), 5)
    outcome = await drive(plan(url, calls=500))
    worker.disconnect()
    server.close()
    assert (outcome.calls, outcome.lost, outcome.unexpected, outcome.errors) == (500, 0, 0, 0)
    assert 0 < outcome.p50_us <= outcome.p99_us


async def test_an_answer_that_never_comes_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "STALL_SECONDS", 1.0)
    silent = wire.invocation_id(7)
    async with peer(lambda call_id: [] if call_id == silent else [result(call_id)]) as url:
        outcome = await drive(plan(url, calls=20))
    assert (outcome.calls, outcome.lost) == (19, 1)


async def test_a_second_answer_is_unexpected() -> None:
    async with peer(lambda call_id: [result(call_id), result(call_id)]) as url:
        outcome = await drive(plan(url, calls=20))
    assert outcome.calls == 20
    assert outcome.unexpected > 0


async def test_an_error_is_counted_and_shown() -> None:
    error = b'","error":{"code":"function_not_found","message":"no"}}'
    async with peer(lambda call_id: [wire.RESULT_HEAD + call_id + error]) as url:
        outcome = await drive(plan(url, calls=20))
    assert outcome.errors == 20
    assert "function_not_found" in outcome.first_error


async def test_a_ping_behind_an_answer_holds_up_no_call() -> None:
    async with peer(lambda call_id: [result(call_id)], behind=PING) as url:
        outcome = await drive(plan(url, calls=100))
    assert (outcome.calls, outcome.lost) == (100, 0)


async def test_a_ping_behind_a_call_holds_up_no_answer() -> None:
    """The peer answers the worker's own call, its probe, with another one and a ping behind it."""
    answers: list[bytes] = []

    def reply(call_id: bytes) -> list[bytes]:
        answers.append(call_id)
        call = b'{"type":"invokefunction","invocation_id":"%b","data":{}}'
        return [call % wire.invocation_id(len(answers))] if len(answers) < 5 else []

    async with peer(reply, behind=PING) as url:
        worker = await connect(EchoWorker(asyncio.Event()), url)
        await until(lambda: len(answers) == 5)
        worker.disconnect()
    assert answers == [wire.invocation_id(number) for number in range(5)]
