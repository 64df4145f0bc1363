"""A program that uses OpenTelemetry too. Its providers are global: it is a process of its own."""

from __future__ import annotations

import asyncio
import sys

from tests.support.otlp import ancestors, metrics, plain, span, spans
from tests.support.waiting import until

PROGRAM = """
import sys
from opentelemetry import baggage, context, trace
import opentelemetry.sdk.trace
from iii_sdk import III
from iii_sdk.compat import telemetry

iii = III(sys.argv[1], worker_name="both", otel={"metrics_export_interval_ms": 50})
tracer = trace.get_tracer("theirs")

@iii.function("both::f")
async def f(data):
    with tracer.start_as_current_span("their span", attributes={"n": 1}) as theirs:
        theirs.add_event("happened")
        context.attach(baggage.set_baggage("from", "their library"))
        return await iii.trigger("both::g", {})

@iii.function("both::g")
def g(data):
    return telemetry.get_baggage_entry("from")

iii.wait_connected(10)
meter = telemetry.get_meter()
meter.create_counter("theirs.count", unit="1", description="d").add(2, {"k": "v"})
meter.create_histogram("theirs.time").record(0.25)
meter.create_gauge("theirs.level").set(7)
meter.create_up_down_counter("theirs.open").add(-1)
print("ready", flush=True)
sys.stdin.readline()
other = III(sys.argv[1], worker_name="other")
other.wait_connected(10)
telemetry.init_otel()
with tracer.start_as_current_span("told once"):
    pass
iii.shutdown()
telemetry.init_otel()
with tracer.start_as_current_span("told by the other"):
    pass
other.shutdown()
"""


async def test_spans_of_both_are_parents_of_each_other(engine):
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        engine.url,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    try:
        assert await program.stdout.readline() == b"ready\n"
        await until(lambda: "both::g" in engine.core.registry)
        assert await engine.call("both::f") == "their library"
        ours = await until(lambda: span(engine, "call both::f"))
        theirs = await until(lambda: span(engine, "their span"))
        inner = await until(lambda: span(engine, "call both::g"))
        assert {theirs["traceId"], inner["traceId"]} == {ours["traceId"]}
        assert theirs["parentSpanId"] == ours["spanId"]
        assert theirs["kind"] == 1
        assert plain(theirs["attributes"]) == {"n": "1"}
        assert [event["name"] for event in theirs["events"]] == ["happened"]
        assert theirs["spanId"] in ancestors(engine, inner)
        found = await until(
            lambda: {m["name"]: m for m in metrics(engine) if m["name"].startswith("theirs.")}
        )
        (counted,) = found["theirs.count"]["sum"]["dataPoints"]
        assert counted["asInt"] == "2"
        assert plain(counted["attributes"]) == {"k": "v"}
        assert found["theirs.count"]["sum"]["isMonotonic"] is True
        assert found["theirs.open"]["sum"]["isMonotonic"] is False
        assert found["theirs.level"]["gauge"]["dataPoints"][0]["asInt"] == "7"
        (measured,) = found["theirs.time"]["histogram"]["dataPoints"]
        assert (measured["count"], measured["sum"]) == ("1", 0.25)
        assert len(measured["bucketCounts"]) == len(measured["explicitBounds"]) + 1
    finally:
        program.stdin.close()
        assert await program.wait() == 0
    names = [s["name"] for s in spans(engine)]
    assert names.count("told once") == 1
    assert names.count("told by the other") == 1
