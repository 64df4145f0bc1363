"""What a worker tells its engine, seen by one that keeps the frames."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest
from tests.support.otlp import ancestors, metrics, plain, records, span, spans
from tests.support.waiting import until

from iii_sdk import Bus, BusError, Call, Worker
from iii_sdk.protocol import InvokeFunction
from iii_sdk.telemetry import Exporter, LogRecord, Settings, Span
from iii_sdk.telemetry.exporter import BATCH, WAITING

QUICK = Settings(spans_interval=0.01, logs_interval=0.01, metrics_interval=0.05)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Frames:
    """Takes frames, unless it is told not to."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.refused = 0
        self.open = True

    def __call__(self, frame: bytes) -> bool:
        if self.open:
            self.taken.append(frame)
        else:
            self.refused += 1
        return self.open


def ended(name: str = "s") -> Span:
    made = Span(name, None)
    made.end()
    return made


async def test_a_call_made_in_a_handler_is_a_child_of_its_span(engine, bus, serve):
    worker = Worker("house", telemetry=QUICK)

    @worker.function("house::outer")
    async def outer(bus: Bus) -> Any:
        with bus.span("inner work", size=3):
            return await bus.call("house::inner")

    @worker.function("house::inner")
    async def inner() -> int:
        return 1

    await serve(worker)
    assert await bus.call("house::outer") == 1
    last = await until(lambda: span(engine, "call house::outer"))
    work = span(engine, "inner work")
    below = span(engine, "call house::inner")
    assert work is not None
    assert below is not None
    assert last["kind"] == 2
    assert {work["traceId"], below["traceId"]} == {last["traceId"]}
    assert work["parentSpanId"] == last["spanId"]
    assert plain(work["attributes"]) == {"size": "3"}
    assert int(last["startTimeUnixNano"]) <= int(below["startTimeUnixNano"])
    assert work["spanId"] in ancestors(engine, below)
    (resource,) = {str(body["resourceSpans"][0]["resource"]) for _, body in engine.telemetry[:1]}
    assert "'service.name'" in resource
    assert "'house'" in resource


async def test_a_failed_call_says_why(engine, bus, serve):
    worker = Worker("house", telemetry=QUICK)

    @worker.function("house::refuses")
    async def refuses() -> None:
        raise BusError("no more", code="used_up")

    @worker.function("house::breaks")
    async def breaks() -> None:
        raise ValueError("it broke")

    await serve(worker)
    for name in ("refuses", "breaks"):
        with pytest.raises(BusError):
            await bus.call(f"house::{name}")
    refused = await until(lambda: span(engine, "call house::refuses"))
    broken = await until(lambda: span(engine, "call house::breaks"))
    assert refused["status"] == {"code": 2, "message": "used_up: no more"}
    assert broken["status"] == {"code": 2, "message": "it broke"}
    (event,) = broken["events"]
    assert event["name"] == "exception"
    assert plain(event["attributes"]) == {
        "exception.type": "ValueError",
        "exception.message": "it broke",
    }


async def test_a_trace_that_nobody_wants_is_not_recorded_but_goes_on(engine, bus, serve):
    worker = Worker("house", telemetry=QUICK)
    seen: list[str | None] = []

    @worker.function("house::f")
    async def f(call: Call, bus: Bus) -> None:
        seen.append(call.traceparent)
        with bus.span("part") as part:
            seen.append(part.traceparent)

    await serve(worker)
    service = next(iter(worker._services))
    parent = f"00-{TRACE}-00f067aa0ba902b7-00"
    invocation = InvokeFunction("house::f", traceparent=parent)
    untold = Call(invocation)
    untold.begin()
    assert (untold.span, untold.end()) == (None, None)
    service._start(worker.functions["house::f"], invocation, 0)
    await until(lambda: len(seen) == 2)
    assert seen[0] == parent
    assert seen[1] is not None
    assert seen[1].startswith(f"00-{TRACE}-")
    assert seen[1].endswith("-00")
    assert spans(engine) == []


async def test_the_process_is_measured(engine, serve):
    worker = Worker("house", telemetry=QUICK)
    await serve(worker)
    found = await until(lambda: metrics(engine))
    names = {m["name"].removeprefix("iii.worker.") for m in found}
    assert names == {
        "memory.rss",
        "memory.vms",
        "cpu.percent",
        "cpu.user_micros",
        "cpu.system_micros",
        "event_loop.lag_ms",
        "uptime_seconds",
    }
    rss = next(m for m in found if m["name"] == "iii.worker.memory.rss")
    (point,) = rss["gauge"]["dataPoints"]
    assert int(point["asInt"]) > 1_000_000
    (session,) = engine.core.sessions
    assert plain(point["attributes"]) == {"worker.id": session, "worker.name": "house"}


@pytest.mark.parametrize("value", ["false", "0", "no", "OFF"])
async def test_switched_off_by_the_environment(engine, bus, serve, monkeypatch, value):
    monkeypatch.setenv("OTEL_ENABLED", value)
    worker = Worker("house")

    @worker.function("house::f")
    async def f(call: Call) -> str:
        return str(call.traceparent)

    await serve(worker)
    inside = await bus.call("house::f")
    assert next(iter(worker._services)).connection.telemetry is None
    assert any(s.span_id in inside for s in engine.core.spans)


async def test_what_waits_is_sent_at_the_end(engine, bus):
    worker = Worker("house", telemetry=replace(QUICK, spans_interval=3600.0))

    @worker.function("house::f")
    async def f() -> None: ...

    ready = asyncio.Event()
    serving = asyncio.create_task(worker.serve(engine.url, ready=ready))
    await ready.wait()
    await bus.call("house::f")
    assert spans(engine) == []
    await worker.stop()
    await serving
    await until(lambda: span(engine, "call house::f"))


@pytest.mark.promise(
    "Traces",
    "A worker's telemetry is bounded and never waits: what does not fit is dropped.",
)
async def test_more_than_fits_drops_the_oldest():
    frames = Frames()
    exporter = Exporter(replace(QUICK, metrics_enabled=False), "w", frames, lambda: "id")
    frames.open = False
    for number in range(WAITING + 10):
        exporter.span(ended(str(number)))
    assert len(exporter.spans.records) == WAITING
    assert exporter.spans.dropped == 10
    await until(lambda: frames.refused)
    assert len(exporter.spans.records) == WAITING
    frames.open = True
    exporter.close()
    assert len(frames.taken) == -(-WAITING // BATCH)
    assert b'"name":"10"' in frames.taken[0]
    exporter.span(ended())
    exporter.close()


async def test_records_of_any_thread_and_of_any_value():
    frames = Frames()
    exporter = Exporter(replace(QUICK, metrics_enabled=False), "w", frames, lambda: "id")
    data = {"a": 1.5, "b": [True, None, {"c": object}], "d": "\ud800", "e": float("nan"), 7: "x"}
    thread = threading.Thread(target=exporter.record, args=(LogRecord("warn", "m", data),))
    thread.start()
    await asyncio.to_thread(thread.join)
    await until(lambda: frames.taken)
    assert frames.taken[0].startswith(b'LOGS{"resourceLogs"')
    assert b'"severityText":"WARN"' in frames.taken[0]
    exporter.close()


async def test_what_cannot_be_written_is_dropped_and_the_next_is_not(caplog):
    frames = Frames()
    exporter = Exporter(replace(QUICK, metrics_enabled=False), "w", frames, lambda: "id")
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    exporter.record(LogRecord("info", "deep", {"x": deep}))
    await until(lambda: "cannot be written" in caplog.text)
    exporter.record(LogRecord("info", "next"))
    await until(lambda: frames.taken)
    exporter.close()


async def test_logs_reach_the_engine(engine, serve):
    worker = Worker("house", telemetry=QUICK)
    await serve(worker)
    exporter = next(iter(worker._services)).connection.telemetry
    assert exporter is not None
    exporter.record(LogRecord("error", "bad", None, TRACE, "00f067aa0ba902b7", "svc"))
    (record,) = await until(lambda: records(engine))
    assert (record["traceId"], record["spanId"]) == (TRACE, "00f067aa0ba902b7")
    assert plain(record["attributes"]) == {"service.name": "svc"}
