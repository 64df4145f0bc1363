"""Numbered cases, on a real engine."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker
from tests.support.telemetry import TRACE, logs_frame, span, spans_frame
from tests.support.waiting import until
from websockets.asyncio.client import connect


async def spans_named(worker: RawWorker, name: str, **query: Any) -> list[dict[str, Any]]:
    found = await worker.call("engine::traces::list", {"name": name, **query})
    spans: list[dict[str, Any]] = found["spans"]
    return spans


async def test_wire_case_2_a_telemetry_socket(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker, connect(engine.url + "/otel") as socket:
        await socket.send(spans_frame(span("work"), service="shop"))
        await socket.send("text is nothing to it")
        (found,) = await until(lambda: spans_named(worker, "work"))
        assert (found["trace_id"], found["service_name"]) == (TRACE, "shop")
        workers = await worker.call("engine::workers::list", {})
        assert {row["runtime"] for row in workers["workers"]} == {"engine"}
        await socket.ping()
        assert socket.close_code is None


async def test_telemetry_comes_over_the_socket_of_a_worker_too(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker:
        await worker.socket.send(spans_frame(span("work")))
        assert len(await spans_named(worker, "work")) == 1


@pytest.mark.promise(
    "Observability", "Telemetry that cannot be read is dropped; its connection goes on."
)
async def test_wire_case_83_a_record_without_text_and_a_frame_that_is_none(
    engine: RunningEngine,
) -> None:
    async with RawWorker(engine.url) as worker:
        await worker.socket.send(b"MTRC{nonsense")
        await worker.socket.send(logs_frame({"severityNumber": 17, "body": {"stringValue": "b"}}))
        listed = await worker.call("engine::logs::list", {"severity_text": "error"})
        assert [(log["body"], log["severity_text"]) for log in listed["logs"]] == [("b", "ERROR")]
        assert await worker.call("engine::metrics::list", {"metric_name": "x"})


async def test_modules_case_111_a_log_line_and_its_triggers(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker:
        for level in ("warn", "error"):
            await worker.register(f"on::{level}")
            await worker.register_trigger("log", f"on::{level}", {"level": level})
        line = {"message": "m", "data": {"k": 1}, "service_name": "s"}
        await worker.call("engine::log::warn", line)
        listed = await worker.call("engine::logs::list", {"severity_text": "warn"})
        (found,) = [log for log in listed["logs"] if log["body"] == "m"]
        assert (found["attributes"], found["service_name"]) == ({"k": 1}, "s")
        invocation = await worker.invoked("on::warn")
        assert invocation["data"] == found
        await worker.settle()
        assert [f for f in worker.frames if f["type"] == "invokefunction"] == []


async def test_modules_case_113_the_trace_of_a_request(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker, httpx2.AsyncClient() as client:
        await worker.register("h")
        await worker.register_trigger("http", "h", {"api_path": "/things", "http_method": "GET"})
        asked = asyncio.create_task(client.get(engine.http_url + "/things"))
        await worker.answer(await worker.invoked("h"), {"body": {}})
        assert (await asked).status_code == 200
        (root,) = await spans_named(worker, "GET")
        assert (root["name"], root["parent_span_id"]) == ("GET /things", None)
        tree = await worker.call("engine::traces::tree", {"trace_id": root["trace_id"]})
        ((child,),) = [found["children"] for found in tree["roots"]]
        assert child["name"] == "call h"
        hidden = await worker.call("engine::traces::list", {"include_internal": False})
        shown = await worker.call("engine::traces::list", {"include_internal": True})
        internal = {s["name"] for s in shown["spans"]} - {s["name"] for s in hidden["spans"]}
        assert "handle_invocation engine::traces::tree" in internal


async def test_modules_case_117_baggage_is_that_of_the_call(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker:
        await worker.call("engine::baggage::set", {"key": "a", "value": "1"})
        assert await worker.call("engine::baggage::get", {"key": "a"}) == {"value": None}
        got = await worker.call("engine::baggage::get", {"key": "a"}, baggage="a=1")
        assert got == {"value": "1"}


async def test_modules_case_118_sampling_rules_are_applied() -> None:
    sampling = {"rules": [{"operation": "* health.*", "rate": 0}]}
    engine = RunningEngine({"iii-observability": {"sampling": sampling}})
    await engine.start()
    async with RawWorker(engine.url) as worker:
        for function_id in ("health.check", "orders.check"):
            await worker.register(function_id)
            await worker.send("invokefunction", function_id=function_id, invocation_id="i")
            await worker.answer(await worker.invoked(function_id))
            await worker.receive("invocationresult")
        assert await spans_named(worker, "health") == []
        assert await spans_named(worker, "health", search_all_spans=True) == []
        assert len(await spans_named(worker, "orders")) == 1
    await engine.stop()
