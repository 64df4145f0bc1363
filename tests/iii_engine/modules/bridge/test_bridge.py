"""`iii-bridge` between two real engines. Case numbers are those of the engine-modules spec."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from tests.support.bridges import Start, ask, bridge, connected, listed, provide
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker
from tests.support.waiting import until

from iii_sdk.errors import BusError

# -- forward and invoke --------------------------------------------------------------------------


async def test_modules_case_121_a_forwarded_function_is_answered_by_the_remote_engine(
    engine: RunningEngine, bridged: Start
) -> None:
    forward = [{"local_function": "r.get", "remote_function": "state::get"}]
    local = await bridged(forward=forward)
    await ask(engine, "state::set", {"scope": "s", "key": "k", "value": {"n": 1}})
    assert await ask(local, "r.get", {"scope": "s", "key": "k"}) == {"n": 1}
    assert await ask(local, "state::get", {"scope": "s", "key": "k"}) is None


async def test_modules_case_121_a_remote_engine_that_is_down_is_a_bridge_error(
    engine: RunningEngine, bridged: Start
) -> None:
    forward = [
        {"local_function": "r.get", "remote_function": "state::get", "timeout_ms": 100},
        {"local_function": "r.wait", "remote_function": "state::get"},
    ]
    local = await bridged(forward=forward)
    await connected(local)
    await engine.stop()
    with pytest.raises(BusError) as caught:
        await ask(local, "r.get", {"scope": "s", "key": "k"})
    assert (caught.value.code, caught.value.message) == ("bridge_error", "invocation timed out")
    assert caught.value.details == {"code": "TIMEOUT"}
    waiting = asyncio.create_task(ask(local, "r.wait", {"scope": "s", "key": "k"}))
    await engine.start()
    assert await waiting is None


async def test_an_error_of_the_remote_function_keeps_its_own_code_in_the_details(
    engine: RunningEngine, bridged: Start
) -> None:
    local = await bridged()
    provide(engine, "broken", BusError("no such thing", code="thing_missing"))
    with pytest.raises(BusError) as caught:
        await ask(local, "bridge.invoke", {"function_id": "broken"})
    assert str(caught.value) == "bridge_error: remote error (thing_missing): no such thing"
    assert caught.value.details == {"code": "thing_missing"}


async def test_details_reach_workers(engine: RunningEngine, bridged: Start) -> None:
    local = await bridged()
    async with RawWorker(local.url) as worker:
        await worker.send(
            "invokefunction",
            invocation_id="6f9619ff-8b86-4d01-b42d-00c04fc964ff",
            function_id="bridge.invoke",
            data={"function_id": "nope"},
        )
        answer = await worker.receive("invocationresult")
    assert answer["error"] == {
        "code": "bridge_error",
        "message": "remote error (function_not_found): Function nope not found",
        "details": {"code": "function_not_found"},
    }


async def test_invoke_hands_payload_and_result_through_as_they_are(
    engine: RunningEngine, bridged: Start
) -> None:
    local = await bridged()
    engine.core.add_function("echo", lambda call: call.reply(bytes(call.data)), module="test")
    for value in (None, [1, "ä", None], {"a": {"b": 2**70}}, "x" * 200_000):
        request = {"function_id": "echo", "data": value}
        assert await ask(local, "bridge.invoke", request) == value
    assert await ask(local, "bridge.invoke", {"function_id": "echo"}) is None


@pytest.mark.parametrize("function_id", ["bridge.invoke", "bridge.invoke_async"])
@pytest.mark.parametrize("data", [None, {}, {"function_id": 1}])
async def test_a_request_without_a_function_is_refused(
    bridged: Start, function_id: str, data: object
) -> None:
    local = await bridged()
    with pytest.raises(BusError) as caught:
        await ask(local, function_id, data)
    assert caught.value.code == "deserialization_error"


async def test_invoke_async_does_not_wait(engine: RunningEngine, bridged: Start) -> None:
    local = await bridged()
    calls = provide(engine, "slow", None)
    request = {"function_id": "slow", "data": {"a": 1}}
    assert await ask(local, "bridge.invoke_async", request) is None
    await until(lambda: calls)
    assert calls[0].payload["a"] == 1
    calls[0].reply()


async def test_what_is_too_large_to_be_sent_is_refused_at_once(
    bridged: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iii_sdk.connection.MAX_MESSAGE", 100)
    local = await bridged()
    request = {"function_id": "f", "data": "x" * 200}
    for function_id in ("bridge.invoke", "bridge.invoke_async"):
        with pytest.raises(BusError) as caught:
            await ask(local, function_id, request)
        assert caught.value.code == "bridge_error"
        assert caught.value.details == {"code": "payload_too_large"}


async def test_a_call_over_the_bridge_stays_in_its_trace(
    engine: RunningEngine, bridged: Start
) -> None:
    local = await bridged()
    calls = provide(engine, "seen")
    trace = "0af7651916cd43dd8448eb211c80319c"
    context = {"traceparent": f"00-{trace}-b7ad6b7169203331-01", "baggage": "a=1"}
    metadata = msgspec.Raw(b'{"m":1}')
    await ask(local, "bridge.invoke", {"function_id": "seen"}, metadata=metadata, **context)
    assert calls[0].traceparent[3:35] == trace
    assert calls[0].baggage == "a=1"
    assert calls[0].about == b'{"m":1}'


async def test_a_call_that_takes_too_long_is_given_up(
    engine: RunningEngine, bridged: Start
) -> None:
    local = await bridged()
    calls = provide(engine, "slow", None)
    with pytest.raises(BusError, match="invocation timed out"):
        await ask(local, "bridge.invoke", {"function_id": "slow", "timeout_ms": 50})
    await until(lambda: calls)
    calls[0].reply()


async def test_a_remote_engine_that_goes_during_a_call_ends_it(
    engine: RunningEngine, bridged: Start
) -> None:
    local = await bridged()
    calls = provide(engine, "slow", None)
    waiting = asyncio.create_task(ask(local, "bridge.invoke", {"function_id": "slow"}))
    await until(lambda: calls)
    await engine.stop()
    with pytest.raises(BusError) as caught:
        await waiting
    assert caught.value.code == "bridge_error"
    assert caught.value.details is not None
    await engine.start()


async def test_a_call_may_go_on_from_engine_to_engine(
    engine: RunningEngine, bridged: Start
) -> None:
    forward = [{"local_function": "f", "remote_function": "f"}]
    middle = await bridged(forward=forward)
    far = RunningEngine({"iii-bridge": {"url": middle.url, "forward": forward}})
    await far.start()
    try:
        calls = provide(engine, "f", 1)
        assert await ask(far, "f", 0, metadata=msgspec.Raw(b'{"m":1}')) == 1
        assert json.loads(calls[0].about)["m"] == 1
        assert await ask(far, "f", 0, metadata=msgspec.Raw(b'"odd"')) == 1
        assert calls[1].about == b'"odd"'
    finally:
        await far.stop()


# -- expose --------------------------------------------------------------------------------------


async def test_an_exposed_function_is_called_from_the_remote_engine(
    engine: RunningEngine, bridged: Start
) -> None:
    expose = [{"local_function": "here::greet", "remote_function": "there::greet"}]
    local = await bridged(expose=[*expose, {"local_function": "here::fail"}])
    calls = provide(local, "here::greet", "hello")
    provide(local, "here::fail", BusError("no", code="refused"))
    await until(lambda: listed(engine, "here::fail"))
    async with RawWorker(engine.url) as worker:
        assert await worker.call("there::greet", {"name": "you"}) == "hello"
    assert calls[0].payload == {"name": "you"}  # and not who called over there
    with pytest.raises(BusError) as caught:
        await ask(engine, "here::fail")
    assert str(caught.value) == "refused: no"
    with pytest.raises(BusError, match="function_not_found"):
        await ask(local, "there::greet")


async def test_an_exposed_function_that_is_not_there_yet_is_not_found(
    engine: RunningEngine, bridged: Start
) -> None:
    local = await bridged(expose=[{"local_function": "later"}])
    await until(lambda: listed(engine, "later"))
    with pytest.raises(BusError, match="Function later not found"):
        await ask(engine, "later")
    provide(local, "later", 1)
    assert await ask(engine, "later") == 1


@pytest.mark.promise(
    "Bridge",
    "When the other engine comes back, a bridge connects to it again and offers what it exposes.",
)
async def test_what_is_exposed_is_there_again_when_the_remote_engine_comes_back(
    engine: RunningEngine, bridged: Start
) -> None:
    local = await bridged(expose=[{"local_function": "f"}], service_id="svc")
    provide(local, "f", 7)
    await until(lambda: listed(engine, "f"))
    await engine.restart()
    await until(lambda: listed(engine, "f"))
    assert await ask(engine, "f") == 7
    assert "svc" in {service.id for service in engine.core.services}


async def test_a_service_is_announced(engine: RunningEngine, bridged: Start) -> None:
    await bridged(service_id="billing", service_name="Billing")
    await until(lambda: {s.id: s.name for s in engine.core.services}.get("billing") == "Billing")


async def test_an_event_that_cannot_be_read_is_logged_and_the_next_one_is_used(
    engine: RunningEngine, bridged: Start, caplog: pytest.LogCaptureFixture
) -> None:
    local = await bridged()
    link = bridge(local).link
    assert link is not None
    heard: list[int] = []

    def on_event(message: Any) -> None:
        heard.append(json.loads(bytes(message.data))["n"])

    subscription = link.subscribe("subscribe", b'{"topic":"t"}', on_event)
    await connected(local)
    await link.connection.settled()
    for data in ("odd", {"n": 1}):
        await ask(engine, "publish", {"topic": "t", "data": data})
    await until(lambda: heard == [1])
    assert "an event of type subscribe cannot be used" in caplog.text
    link.unsubscribe(subscription)


async def test_at_the_end_nothing_more_is_offered_and_calls_under_way_are_answered(
    engine: RunningEngine, bridged: Start
) -> None:
    local = await bridged(expose=[{"local_function": "f"}])
    calls = provide(local, "f", None)
    await until(lambda: listed(engine, "f"))
    waiting = asyncio.create_task(ask(engine, "f"))
    await until(lambda: calls)
    await bridge(local).quiesce()

    async def withdrawn() -> bool:
        return not await listed(engine, "f")

    await until(withdrawn)
    calls[0].reply(b"9")
    assert await waiting == 9


async def test_a_bridge_that_is_taken_out_lets_calls_under_way_end(
    engine: RunningEngine, bridged: Start
) -> None:
    local = await bridged(
        expose=[{"local_function": "f"}],
        forward=[{"local_function": "r", "remote_function": "slow"}],
    )
    here, there = provide(local, "f", None), provide(engine, "slow", None)
    await until(lambda: listed(engine, "f"))
    waiting = [asyncio.create_task(ask(*what)) for what in ((engine, "f"), (local, "r"))]
    await until(lambda: here and there)
    module = local.app.modules.pop("iii-bridge")
    await module.drain(10)
    stopping = asyncio.create_task(module.stop())
    for calls in (here, there):
        calls[0].reply(b"1")
    assert await asyncio.gather(*waiting) == [1, 1]
    await stopping
    await until(lambda: not engine.core.sessions)
