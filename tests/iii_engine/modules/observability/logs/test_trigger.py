"""The trigger type `log`."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from tests.support.desk import Desk, running
from tests.support.telemetry import logs_frame
from tests.support.waiting import until

from iii_engine.core.router import Call
from iii_engine.modules.observability import ObservabilityModule
from iii_engine.net.memory import MemoryPeer


def write(desk: Desk, level: str, message: str = "m", **context: Any) -> None:
    desk.ask(f"engine::log::{level}", {"message": message, "data": {"k": 1}}, **context)


def levels(desk: Desk, function_id: str = "heard") -> list[str]:
    return [record["severity_text"] for record in desk.payloads(function_id)]


ALL = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"]


@pytest.mark.parametrize(
    ("config", "heard"),
    [
        (None, ALL),
        ({}, ALL),
        ({"level": "all"}, ALL),
        ({"level": "warn"}, ["WARN"]),
        ({"min_level": "warn"}, ["WARN", "ERROR"]),
        ({"level": "error", "min_level": "info"}, ["ERROR"]),
        ({"level": "info", "min_level": "error"}, []),
    ],
)
async def test_levels_are_met_exactly(desk: Desk, config: object, heard: list[str]) -> None:
    desk.handler("heard")
    assert desk.bind("t", "heard", config) is None
    for level in ALL:
        write(desk, level.lower())
    assert levels(desk) == heard


async def test_the_payload_is_the_record_with_every_key(desk: Desk) -> None:
    desk.handler("heard")
    desk.bind("t", "heard")
    write(desk, "warn")
    assert desk.payloads("heard") == desk.ask("engine::logs::list")["logs"]
    assert len(desk.payloads("heard")[0]) == 12


async def test_a_wrong_config_is_refused(desk: Desk) -> None:
    error = desk.bind("t", "heard", {"level": "loud"})
    assert error is not None
    assert "config of a log trigger: Invalid enum value 'loud'" in error.message


async def test_conditions_hold_deliveries_back(desk: Desk) -> None:
    desk.handler("heard")
    desk.handler("never", answer=b"false")
    desk.bind("t", "heard", {"condition_function_id": "never"})
    write(desk, "warn")
    assert (desk.payloads("heard"), levels(desk, "never")) == ([], ["WARN"])


async def test_records_of_workers_fire_too(desk: Desk) -> None:
    desk.handler("heard")
    desk.bind("t", "heard", {"level": "error"})
    desk.engine.on_telemetry(logs_frame({"severityNumber": 22}, {"severityNumber": 9}))
    await until(lambda: levels(desk) == ["FATAL"])


async def test_lines_of_the_engine_fire_too(desk: Desk) -> None:
    desk.handler("heard")
    desk.bind("t", "heard", {"level": "error"})
    logging.getLogger("iii.test").error("the engine says so")
    await until(lambda: [r["body"] for r in desk.payloads("heard")] == ["the engine says so"])


async def test_an_unbound_trigger_hears_nothing(desk: Desk) -> None:
    desk.handler("heard")
    desk.bind("t", "heard")
    desk.engine.triggers.remove("t")
    write(desk, "warn")
    assert desk.payloads("heard") == []


async def test_without_observability_there_is_no_such_type() -> None:
    async with running(ObservabilityModule, {"enabled": False}, trigger_type="log") as desk:
        assert "log" not in {kind.id for kind in desk.engine.triggers.types()}


# -- no feedback ---------------------------------------------------------------------------------


@pytest.mark.promise(
    "Observability",
    "What a handler of log records logs itself is delivered to no handler.",
)
async def test_what_a_handler_logs_fires_nothing(desk: Desk) -> None:
    """Nor what those log that it calls, nor another trigger of the type."""

    def chatty(call: Call) -> None:
        heard.append(json.loads(bytes(call.data))["body"])
        desk.engine.call("deeper", b"{}", None, traceparent=call.traceparent)
        call.reply()

    def deeper(call: Call) -> None:
        line = b'{"message":"from the handler"}'
        desk.engine.call("engine::log::warn", line, None, traceparent=call.traceparent)
        call.reply()

    heard: list[str] = []
    desk.engine.add_function("chatty", chatty, module="test")
    desk.engine.add_function("deeper", deeper, module="test")
    desk.handler("other")
    desk.bind("t", "chatty")
    desk.bind("u", "other", {"level": "warn"})
    write(desk, "warn", "first")
    write(desk, "warn", "second")
    assert heard == ["first", "second"]
    assert [r["body"] for r in desk.payloads("other")] == ["first", "second"]
    bodies = [r["body"] for r in desk.ask("engine::logs::list")["logs"]]
    assert sorted(bodies) == ["first", "from the handler", "from the handler", "second"]


async def test_what_the_engine_says_about_a_delivery_fires_nothing(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(call: Call) -> None:
        calls.append(call)
        call.fail("boom", "it broke")

    calls: list[Call] = []
    desk.engine.add_function("failing", failing, module="test")
    desk.bind("t", "failing")
    write(desk, "warn")
    logs = desk.module.telemetry.logs
    await until(lambda: len(logs) == 2)
    assert "trigger t: failing failed: boom: it broke" in caplog.text
    assert len(calls) == 1


async def test_a_worker_without_traces_is_silent_while_it_handles_one(desk: Desk) -> None:
    worker = MemoryPeer(desk.engine)
    worker.send(b'{"type":"registerfunction","id":"chatty"}')
    worker.receive()
    desk.bind("t", "chatty", {"level": "warn"})
    log = b'{"type":"invokefunction","function_id":"engine::log::warn","data":{"message":"m"}}'

    def deliveries() -> list[str]:
        return [f["invocation_id"] for f in map(json.loads, worker.receive()) if "data" in f]

    worker.send(log)
    (delivery,) = deliveries()
    worker.send(log)
    assert deliveries() == []
    answer = {"type": "invocationresult", "invocation_id": delivery, "function_id": "chatty"}
    worker.send(json.dumps(answer).encode())
    worker.send(log)
    assert len(deliveries()) == 1
    assert len(desk.module.telemetry.logs) == 3


async def test_a_delivery_begins_a_trace_of_its_own(desk: Desk) -> None:
    calls = desk.handler("heard")
    desk.bind("t", "heard")
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    write(desk, "warn", traceparent=parent)
    names = {span.name: span for span in desk.engine.spans}
    delivery = names["log_triggers"]
    assert delivery.trace_id == calls[0].traceparent[3:35] != "a" * 32
    assert names["call heard"].parent_span_id == delivery.span_id
