from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec
import pytest

from iii_sdk import Bus, BusError, Call, Conflict, InvalidInput, Worker, bind, cron, http


class Add(msgspec.Struct, rename="camel"):
    first: int
    second_part: int = 0


class Sum(msgspec.Struct):
    sum: int


@dataclass
class Point:
    x: int
    y: int


class Named(TypedDict):
    name: str


async def test_a_typed_function_is_called_and_answers(engine, bus, serve):
    worker = Worker("math")

    @worker.function("math::add")
    async def add(request: Add) -> Sum:
        """Add two numbers.

        More text."""
        return Sum(request.first + request.second_part)

    await serve(worker)
    assert await bus.call("math::add", {"first": 1, "secondPart": 2}) == {"sum": 3}
    assert (await bus.call("math::add", Add(1, 2), kind=Sum)).sum == 3
    provider = engine.core.registry.get("math::add").newest
    assert provider.description == "Add two numbers."
    assert b"secondPart" in bytes(provider.request_format)
    assert b"sum" in bytes(provider.response_format)


async def test_invalid_input_names_the_field(bus, serve):
    worker = Worker("math")

    @worker.function("math::add")
    async def add(request: Add) -> Sum:
        return Sum(request.first)

    await serve(worker)
    with pytest.raises(InvalidInput, match=r"\$\.first: expected int, got str"):
        await bus.call("math::add", {"first": "x"})
    with pytest.raises(InvalidInput, match=r"\$\.first: missing"):
        await bus.call("math::add")
    with pytest.raises(InvalidInput, match=r"\$: expected object, got array"):
        await bus.call("math::add", [1])


async def test_every_kind_of_payload(bus, serve):
    worker = Worker("kinds")

    @worker.function("k::dataclass")
    async def of_dataclass(point: Point) -> int:
        return point.x + point.y

    @worker.function("k::typeddict")
    async def of_typeddict(request: Named) -> str:
        return request["name"]

    @worker.function("k::dict")
    async def of_dict(request: dict[str, Any]) -> list[str]:
        return sorted(request)

    @worker.function("k::plain")
    async def plain(request):
        return request

    @worker.function("k::list")
    async def of_list(numbers: list[int]) -> int:
        return sum(numbers)

    @worker.function("k::scalar")
    async def of_scalar(number: int = 7) -> int:
        return number

    @worker.function("k::none")
    async def of_none() -> str:
        return "done"

    await serve(worker)
    assert await bus.call("k::dataclass", {"x": 1, "y": 2}) == 3
    assert await bus.call("k::typeddict", {"name": "a"}) == "a"
    assert await bus.call("k::dict", {"b": 1, "a": 2}) == ["a", "b"]
    assert await bus.call("k::dict", {}) == []
    assert await bus.call("k::dict", {"_caller_worker_id": "x", "z": 1}) == ["z"]
    assert await bus.call("k::dict") == []
    assert await bus.call("k::plain", {"a": [1]}) == {"a": [1]}
    assert await bus.call("k::plain", "text") == "text"
    assert await bus.call("k::list", [1, 2]) == 3
    assert await bus.call("k::scalar", 3) == 3
    assert await bus.call("k::scalar") == 7
    assert await bus.call("k::none", {"ignored": True}) == "done"


async def test_bus_and_call_are_injected(bus, serve):
    worker = Worker("inject")
    seen: list[Any] = []

    @worker.function("i::outer")
    async def outer(bus: Bus, call: Call) -> Any:
        seen.append((call.function_id, call.traceparent, call.caller, call.http, call.metadata))
        return await bus.call("i::inner", {"a": 1})

    @worker.function("i::inner")
    async def inner(request: dict[str, Any], call: Call) -> Any:
        seen.append((call.function_id, call.traceparent, call.caller, call.http, call.metadata))
        return request

    await serve(worker)
    assert await bus.call("i::outer", {}) == {"a": 1}
    (first, second) = seen
    assert first[0] == "i::outer"
    assert first[2] == bus.worker_id
    assert second[2] not in (None, bus.worker_id)
    assert first[1].split("-")[1] == second[1].split("-")[1], "one trace"
    assert first[1] != second[1]
    assert first[3] is None
    assert first[4] is None


async def test_errors_keep_their_code_and_others_are_invocation_failed(bus, serve, caplog):
    worker = Worker("errors")

    @worker.function("e::conflict")
    async def conflict() -> None:
        raise Conflict("taken")

    @worker.function("e::own")
    async def own() -> None:
        raise BusError("budget", code="my_code")

    @worker.function("e::crash")
    async def crash() -> None:
        raise KeyError("boom")

    @worker.function("e::unserialisable")
    async def unserialisable() -> Any:
        return object()

    await serve(worker)
    with pytest.raises(Conflict) as refused:
        await bus.call("e::conflict")
    assert (refused.value.code, refused.value.message) == ("conflict", "taken")
    assert refused.value.function_id == "e::conflict"
    with pytest.raises(BusError) as own_code:
        await bus.call("e::own")
    assert own_code.value.code == "my_code"
    with pytest.raises(BusError) as crashed:
        await bus.call("e::crash")
    assert (crashed.value.code, crashed.value.message) == ("invocation_failed", "'boom'")
    assert "Traceback" in caplog.text
    with pytest.raises(BusError) as result:
        await bus.call("e::unserialisable")
    assert result.value.code == "serialization_error"
    with pytest.raises(BusError) as missing:
        await bus.call("e::nobody")
    assert missing.value.code == "function_not_found"


async def test_a_plain_function_runs_in_a_thread(bus, serve):
    worker = Worker("sync")
    threads: list[str] = []

    @worker.function("s::blocking")
    def blocking(request: Add) -> int:
        threads.append(threading.current_thread().name)
        return request.first

    await serve(worker)
    assert await bus.call("s::blocking", {"first": 5}) == 5
    assert threads[0] != threading.current_thread().name


async def test_handlers_run_concurrently(bus, serve):
    worker = Worker("together")
    gate = asyncio.Event()
    inside: list[int] = []

    @worker.function("t::wait")
    async def wait(number: int) -> int:
        inside.append(number)
        if len(inside) == 50:
            gate.set()
        await gate.wait()
        return number

    await serve(worker)
    results = await asyncio.gather(*(bus.call("t::wait", n) for n in range(50)))
    assert results == list(range(50))


async def test_bindings_become_triggers(engine, serve):
    worker = Worker("bound")

    @worker.function(
        "b::f", http("post", "/b", raw_body=True), cron("0 * * * * *"), bind("state", {"key": "k"})
    )
    async def f() -> None: ...

    await serve(worker)
    found = {(t.type, bytes(t.config)) for t in engine.triggers.values()}
    assert found == {
        ("http", b'{"api_path":"/b","http_method":"POST","raw_body":true}'),
        ("cron", b'{"expression":"0 * * * * *"}'),
        ("state", b'{"key":"k"}'),
    }


async def test_aliases_answer_too(engine, bus, serve):
    worker = Worker("aliased")

    @worker.function("a::one", metadata={"category": "x"}, aliases=("a::two",))
    async def one(call: Call) -> str:
        return call.function_id

    await serve(worker)
    assert await bus.call("a::one") == "a::one"
    assert await bus.call("a::two") == "a::two"
    metadata = msgspec.json.decode(engine.core.registry.get("a::two").newest.metadata)
    assert metadata == {"category": "x", "aliasOf": "a::one"}


async def test_metadata_comes_first_and_says_who_this_is(engine, serve, monkeypatch):
    monkeypatch.setenv("III_ISOLATION", "sandbox")
    worker = Worker("meta", description="About", version="1.2")
    await serve(worker)
    (sent,) = engine.metadata
    assert sent["name"] == "meta"
    assert sent["runtime"] == "python"
    assert sent["version"] == "1.2"
    assert sent["isolation"] == "sandbox"
    assert sent["telemetry"]["framework"] == "iii-py"
    assert sent["features"] == ["large-messages.v1"]
    assert sent["dialect"] == "0.11"
    assert sent["description"] == "About"


async def test_functions_come_and_go_while_serving(engine, bus, serve, wait_until):
    worker = Worker("dynamic")
    await serve(worker)

    @worker.function("d::late", http("GET", "/late"))
    async def late() -> str:
        return "here"

    await wait_until(lambda: "d::late" in engine.core.registry)
    assert await bus.call("d::late") == "here"
    worker.remove("d::late")
    await wait_until(lambda: "d::late" not in engine.core.registry)
    assert not engine.triggers


def test_declarations_that_cannot_work_are_refused():
    worker = Worker("bad")

    @worker.function("x::y")
    async def fine() -> None: ...

    with pytest.raises(ValueError, match="already registered"):
        worker.function("x::y")(fine)
    with pytest.raises(ValueError, match="id is required"):
        worker.function("  ")(fine)

    def needs_bus(bus: Bus) -> None: ...

    with pytest.raises(TypeError, match="async def"):
        worker.function("x::sync")(needs_bus)

    async def too_much(request: Add, other: int) -> None: ...

    with pytest.raises(TypeError, match="'other'"):
        worker.function("x::much")(too_much)
    with pytest.raises(ValueError, match="unknown method"):
        http("FETCH", "/x")


async def test_stop_lets_running_calls_finish(engine, bus, wait_until):
    worker = Worker("drain")
    entered, leave = asyncio.Event(), asyncio.Event()

    @worker.function("d::slow")
    async def slow() -> str:
        entered.set()
        await leave.wait()
        return "finished"

    ready = asyncio.Event()
    serving = asyncio.create_task(worker.serve(engine.url, ready=ready))
    await ready.wait()
    call = asyncio.create_task(bus.call("d::slow"))
    await entered.wait()
    stopping = asyncio.create_task(worker.stop())
    await wait_until(lambda: "d::slow" not in engine.core.registry)
    leave.set()
    assert await call == "finished"
    await stopping
    await serving


async def test_calls_on_their_way_are_handled_while_stopping(engine):
    worker = Worker("race")

    @worker.function("r::late")
    async def late() -> str:
        return "handled"

    ready = asyncio.Event()
    serving = asyncio.create_task(worker.serve(engine.url, ready=ready))
    await ready.wait()
    receive = engine.core.receive
    answers: list[Any] = []

    def racing(session: Any, frame: bytes) -> None:
        if b'"unregisterfunction"' in frame:  # the call leaves before this is applied
            engine.core.call("r::late", b"null", lambda result, error: answers.append(error))
        receive(session, frame)

    engine.core.receive = racing
    await worker.stop()
    await serving
    assert answers == [None]


class Odd(BaseException):
    pass


async def test_whatever_a_handler_raises_is_answered(bus, serve):
    worker = Worker("odd")

    @worker.function("odd::awaited")
    async def awaited() -> None:
        raise Odd("so odd")

    @worker.function("odd::plain")
    def plain() -> None:
        raise Odd("so odd")

    await serve(worker)
    for name in ("odd::awaited", "odd::plain"):
        with pytest.raises(BusError, match="so odd") as raised:
            await bus.call(name, {})
        assert raised.value.code == "invocation_failed"
