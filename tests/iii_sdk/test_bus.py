from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import msgspec
import pytest
from tests.support.waiting import until

from iii_sdk import Bus, BusError, Worker
from iii_sdk.protocol import Raw


class Point(msgspec.Struct):
    x: int


def recorder(engine, function_id: str, answer: bytes = b"null") -> list[Any]:
    """A function of the engine that keeps what it got."""
    seen: list[Any] = []

    def handler(call) -> None:
        seen.append(json.loads(bytes(call.data)))
        call.reply(answer)

    engine.core.add_function(function_id, handler, module="test")
    return seen


async def test_results_are_read_as_the_kind_asked_for(engine, bus):
    recorder(engine, "p::get", b'{"x": 1}')
    assert await bus.call("p::get") == {"x": 1}
    assert await bus.call("p::get", kind=Point) == Point(1)
    assert await bus.call("p::get", kind=dict[str, int]) == {"x": 1}
    assert await bus.call("p::get", kind=Point | None) == Point(1)
    assert bytes(await bus.call("p::get", kind=Raw)) == b'{"x": 1}'
    with pytest.raises(BusError, match=r"result of p::get: \$: expected str, got object") as raised:
        await bus.call("p::get", kind=str)
    assert raised.value.code == "deserialization_error"


async def test_wire_case_41_what_only_a_tolerant_codec_reads_arrives(engine, bus, serve):
    worker = Worker("echo")

    @worker.function("echo::it")
    async def echo(request: Any) -> Any:
        return request

    await serve(worker)
    value = {"big": 2**70, "lone": "\ud800", "nan": float("nan")}
    assert await bus.call("echo::it", value) == {"big": 2**70, "lone": "\ud800", "nan": None}


async def test_void_calls_and_publish(engine, bus, wait_until):
    seen = recorder(engine, "audit::log")
    published = recorder(engine, "publish")
    bus.send("audit::log", {"a": 1})
    bus.send("nobody::here", {"a": 1})
    bus.publish("agent.events", {"b": 2})
    await wait_until(lambda: published)
    assert seen[0]["a"] == 1
    assert published[0]["topic"] == "agent.events"
    assert published[0]["data"] == {"b": 2}


async def test_enqueue_returns_the_receipt(engine, bus):
    queued: list[tuple[str, str, Any]] = []

    def enqueue(call, action) -> None:
        queued.append((action.queue, call.function_id, json.loads(bytes(call.data))))
        call.reply(b'{"messageReceiptId":"r1"}')

    with pytest.raises(BusError, match="QueueModule not loaded") as raised:
        await bus.enqueue("mail", "mail::send", {"to": "a"})
    assert raised.value.code == "enqueue_error"
    engine.core.enqueue = enqueue
    assert await bus.enqueue('ma"il', "mail::send", {"to": "a"}) == "r1"
    assert queued == [('ma"il', "mail::send", {"to": "a"})]


async def test_what_cannot_be_written_as_json_is_refused_before_it_leaves(bus):
    with pytest.raises(BusError) as raised:
        await bus.call("x::y", {"a": object()})
    assert raised.value.code == "serialization_error"


async def test_wire_case_42_trace_and_baggage_go_from_call_to_call(engine, serve):
    worker = Worker("chain")
    seen: list[tuple[str | None, str | None]] = []

    @worker.function("c::outer")
    async def outer(bus: Bus) -> None:
        await asyncio.gather(bus.call("engine::probe"), asyncio.create_task(bus.call("c::inner")))

    @worker.function("c::inner")
    async def inner(bus: Bus) -> None:
        bus.log.info("inside", answer=42)

    def probe(call) -> None:
        seen.append((call.traceparent.split("-")[1], call.baggage))
        call.reply()

    logged = recorder(engine, "engine::log::info")
    engine.core.add_function("engine::probe", probe, module="test")
    await serve(worker)
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    engine.core.call(
        "c::outer",
        b"null",
        lambda result, error: done.set_result(None),
        traceparent=f"00-{trace}-00f067aa0ba902b7-01",
        baggage="tenant=ac\u00e9me",
    )
    async with asyncio.timeout(5):
        await done
    await until(lambda: logged)  # a void call tells nobody when it has arrived
    assert seen == [(trace, "tenant=ac\u00e9me")]
    assert logged[0]["trace_id"] == trace
    assert logged[0]["data"] == {"answer": 42}
    assert logged[0]["service_name"] == "chain"


async def test_the_log_is_written_here_too(engine, bus, caplog, wait_until):
    caplog.set_level(logging.DEBUG)
    seen = recorder(engine, "engine::log::warn")
    bus.log.warn("careful", count=2)
    bus.log.debug("detail")
    bus.log.error("broken")
    await wait_until(lambda: seen)
    assert "careful {'count': 2}" in caplog.text
    assert "detail" in caplog.text
    assert "broken" in caplog.text


async def test_wire_case_40_a_thousand_calls_at_once(engine, bus, serve):
    """Their handlers wait at the same time, and each caller gets the answer to its own call."""
    worker = Worker("slow")

    @worker.function("slow::echo")
    async def echo(number: int) -> int:
        await asyncio.sleep(0.1)
        return number

    await serve(worker)
    began = asyncio.get_running_loop().time()
    answers = await asyncio.gather(*(bus.call("slow::echo", n) for n in range(1000)))
    assert answers == list(range(1000))
    assert asyncio.get_running_loop().time() - began < 20  # one after another they take 100 s
