"""What an instance sends, seen by the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.otlp import records, spans
from tests.support.waiting import until

from iii_sdk import III, HttpInvocationConfig, Logger
from iii_sdk.compat import HttpAuthConfig, RegisterFunctionFormat
from iii_sdk.traceparent import parse_traceparent


@pytest.fixture
async def iii(engine) -> AsyncIterator[III]:
    engine.record = True
    iii = III(engine.url, worker_name="wire")
    await iii.connect_async()
    yield iii
    await asyncio.to_thread(iii.shutdown)


def frames(engine, kind: str) -> list[dict[str, Any]]:
    return [frame for frame in engine.sockets[0].frames if frame["type"] == kind]


async def sent(engine, kind: str, **fields: Any) -> dict[str, Any]:
    """The first frame of this kind with these fields."""

    def find() -> list[dict[str, Any]]:
        return [f for f in frames(engine, kind) if fields.items() <= f.items()]

    return (await until(find, f"{kind} {fields}"))[0]


async def test_a_function_that_the_engine_calls_over_http(engine, iii):
    auth = HttpAuthConfig(type="bearer", token_key="TOKEN")
    config = HttpInvocationConfig(url="https://example.org/x", timeout_ms=500, auth=auth)
    iii.register_function("wire::remote", config, metadata={"a": 1})
    frame = await sent(engine, "registerfunction", id="wire::remote")
    assert frame["metadata"] == {"a": 1}
    assert frame["invocation"] == {
        "url": "https://example.org/x",
        "timeout_ms": 500,
        "auth": {"type": "bearer", "token_key": "TOKEN"},
    }


async def test_description_and_formats(engine, iii):
    @iii.function("wire::described")
    async def described(data: int) -> str:
        """The first line.

        Not this one.
        """
        return str(data)

    given = RegisterFunctionFormat(name="x", type="string")
    iii.register_function("wire::given", str, request_format=given, response_format={"a": 1})
    frame = await sent(engine, "registerfunction", id="wire::described")
    assert frame["description"] == "The first line."
    assert frame["request_format"]["type"] == "integer"
    assert frame["response_format"]["type"] == "string"
    frame = await sent(engine, "registerfunction", id="wire::given")
    assert frame["request_format"] == {"name": "x", "type": "string"}
    assert frame["response_format"] == {"a": 1}


async def test_enqueue(engine, iii):
    call = iii.enqueue("mail", "wire::send", {"to": "a"})
    frame = await sent(engine, "invokefunction", function_id="wire::send")
    assert frame["action"] == {"type": "enqueue", "queue": "mail"}
    assert frame["data"] == {"to": "a"}
    with pytest.raises(Exception, match="enqueue_error"):
        await call


async def test_services(engine, iii):
    iii.register_service({"id": "pay::refunds", "parent_service_id": "pay"})
    assert await sent(engine, "registerservice", id="pay::refunds") == {
        "type": "registerservice",
        "id": "pay::refunds",
        "name": "pay::refunds",
        "parent_service_id": "pay",
    }


async def test_triggers_in_both_forms(engine, iii):
    first = iii.register_trigger(
        {"type": "cron", "function_id": "f", "config": {"expression": "x"}}
    )
    second = iii.register_trigger("cron", "g", metadata={"m": 1})
    frame = await sent(engine, "registertrigger", id=first.id)
    assert (frame["function_id"], frame["config"]) == ("f", {"expression": "x"})
    frame = await sent(engine, "registertrigger", id=second.id)
    assert (frame["function_id"], frame["metadata"]) == ("g", {"m": 1})
    second.unregister()
    second.unregister()
    await sent(engine, "unregistertrigger", id=second.id)
    assert len(frames(engine, "unregistertrigger")) == 1


async def test_calls_and_records_of_a_handler_belong_to_its_trace(engine, iii):
    @iii.function("wire::traced")
    async def traced(data):
        Logger(service_name="svc").info("seen", {"n": 1})
        iii.trigger_void("wire::next")

    @iii.function("wire::plain")
    def plain(data):
        iii.trigger_void("wire::after")

    for function_id, called in (("wire::traced", "wire::next"), ("wire::plain", "wire::after")):
        await until(lambda wanted=function_id: wanted in engine.core.registry)
        await engine.call(function_id)
        frame = await sent(engine, "invokefunction", function_id=called)
        assert parse_traceparent(frame["traceparent"])
    (record,) = await until(lambda: records(engine))
    (span,) = await until(lambda: [s for s in spans(engine) if s["name"] == "call wire::traced"])
    assert (record["traceId"], record["spanId"]) == (span["traceId"], span["spanId"])
    assert (record["severityNumber"], record["severityText"]) == (9, "INFO")
    assert record["body"] == {"stringValue": "seen"}
    assert record["attributes"] == [
        {"key": "n", "value": {"intValue": "1"}},
        {"key": "service.name", "value": {"stringValue": "svc"}},
    ]


async def test_the_log_outside_of_handlers(engine, iii, caplog):
    Logger("a" * 32).error("outside", "plain")
    (record,) = await until(lambda: records(engine))
    assert record["body"] == {"stringValue": "outside"}
    assert record["traceId"] == "a" * 32
    assert record["attributes"] == [{"key": "log.data", "value": {"stringValue": "plain"}}]
    assert not caplog.records


async def test_the_log_with_telemetry_switched_off(engine, monkeypatch):
    monkeypatch.setenv("OTEL_ENABLED", "off")
    engine.record = True
    iii = III(engine.url, worker_name="quiet")
    try:
        await iii.connect_async()
        Logger().warn("once", {"n": 1})
        record = (await sent(engine, "invokefunction", function_id="engine::log::warn"))["data"]
        assert record == {"message": "once", "service_name": "quiet", "data": {"n": 1}}
        assert engine.telemetry == []
    finally:
        await asyncio.to_thread(iii.shutdown)


async def test_the_log_without_a_connection(caplog):
    record = Logger()
    record.warn("alone", {"n": 1})
    record.info("not shown")
    assert [r.getMessage() for r in caplog.records] == ["alone {'n': 1}"]


async def test_listening_for_functions(engine, iii):
    unsubscribe = iii.on_functions_available(lambda functions: None)
    frame = (await until(lambda: frames(engine, "registertrigger")))[0]
    assert frame["trigger_type"] == "engine::functions-available"
    assert frame["function_id"] in {f["id"] for f in frames(engine, "registerfunction")}
    unsubscribe()
    await sent(engine, "unregisterfunction", id=frame["function_id"])
