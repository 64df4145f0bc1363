"""Spans, logs and metrics at a collector, which reads them with OpenTelemetry's own messages."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import msgspec
import pytest
from tests.support.collector import Collector, plain
from tests.support.desk import Desk, running
from tests.support.endpoint import Request, answering
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker
from tests.support.reports import report, spread
from tests.support.telemetry import TRACE, attributes, span, spans_frame
from tests.support.waiting import until

from iii_engine.modules.observability import ObservabilityModule
from iii_engine.modules.observability.export import exporters, sender
from iii_engine.modules.observability.export.encoding import encoder
from iii_engine.modules.observability.export.endpoint import read_endpoint
from iii_engine.modules.observability.export.messages import TracesRequest
from iii_engine.modules.observability.options import ObservabilityOptions
from iii_engine.net.client.client import Client
from iii_engine.version import VERSION
from iii_sdk.errors import BusError

PROTOCOLS = ("http/json", "http/protobuf")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(exporters, "SPANS_SECONDS", 0.01)
    monkeypatch.setattr(exporters, "REPORTS_SECONDS", 0.01)


def settings(collector: Collector, **options: Any) -> dict[str, Any]:
    return {"endpoint": f"{collector.url}/base", "exporter": "otlp", **options}


def module(desk: Desk) -> ObservabilityModule:
    assert isinstance(desk.module, ObservabilityModule)
    return desk.module


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_spans_of_the_engine_and_of_workers(protocol: str) -> None:
    async with Collector() as collector:
        options = settings(collector, otlp_protocol=protocol, service_name="shop")
        async with running(ObservabilityModule, options) as desk:
            desk.handler("f")
            desk.ask("f", traceparent=f"00-{TRACE}-00f067aa0ba902b7-01")
            with pytest.raises(BusError):
                desk.ask("nothing")
            frame = spans_frame(
                span(
                    "work",
                    parent="00f067aa0ba902b7",
                    kind=3,
                    attributes=attributes(a="x", n=5, ok=True, f=0.5),
                    events=[{"name": "e", "timeUnixNano": "7", "attributes": attributes(k="v")}],
                    links=[{"traceId": TRACE, "spanId": "00f067aa0ba902b7"}],
                    status={"code": 2, "message": "bad"},
                ),
                service="worker",
            )
            desk.engine.on_telemetry(frame)
            module(desk).telemetry.intake.when_idle(lambda: None)
            await until(lambda: "work" in str(list(desk.engine.spans)))
        (request,) = collector.received("traces")
        spans = collector.spans()
    groups = {plain(g.resource.attributes)["service.name"]: g for g in request.resource_spans}
    assert set(groups) == {"shop", "worker"}
    about = plain(groups["shop"].resource.attributes)
    assert about["service.version"] == "unknown"
    assert len(about["service.instance.id"]) == 36
    (scoped,) = groups["shop"].scope_spans
    assert (scoped.scope.name, scoped.scope.version) == ("iii", VERSION)
    call = spans["call f"]
    assert (call.trace_id.hex(), call.parent_span_id.hex()) == (TRACE, "00f067aa0ba902b7")
    assert plain(call.attributes)["function_id"] == "f"
    assert (call.kind, call.status.code) == (2, 1)
    work = spans["work"]
    assert plain(work.attributes) == {"a": "x", "n": 5, "ok": True, "f": 0.5}
    assert (work.kind, work.status.code, work.status.message) == (3, 2, "bad")
    assert [(e.name, e.time_unix_nano, plain(e.attributes)) for e in work.events] == [
        ("e", 7, {"k": "v"})
    ]
    assert [link.span_id.hex() for link in work.links] == ["00f067aa0ba902b7"]
    (request,) = collector.requests
    assert request.resource == "/base/v1/traces"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_logs(protocol: str) -> None:
    async with Collector() as collector:
        options = {
            "endpoint": collector.url,
            "otlp_protocol": protocol,
            "logs_exporter": "otlp",
            "logs_console_output": False,
        }
        async with running(ObservabilityModule, options) as desk:
            data = {"list": [1, None, {"a": 1.5}], "big": 1 << 70, "yes": True}
            line = {"message": "m", "data": data, "service_name": "s", "trace_id": TRACE}
            desk.ask("engine::log::warn", {**line, "span_id": "not hex"})
        (request,) = collector.received("logs")
    records = {
        record.body.string_value: (record, plain(group.resource.attributes))
        for group in request.resource_logs
        for scoped in group.scope_logs
        for record in scoped.log_records
    }
    record, about = records["m"]
    assert about["service.name"] == "s"
    assert (record.severity_number, record.severity_text) == (13, "WARN")
    assert (record.trace_id.hex(), record.span_id) == (TRACE, b"")
    found = plain(record.attributes)
    assert (found["big"], found["yes"]) == (str(1 << 70), True)
    one, nothing, inner = found["list"].values
    assert (one.int_value, nothing.WhichOneof("value")) == (1, None)
    assert plain(inner.kvlist_value.values) == {"a": 1.5}
    assert not collector.received("traces")


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_metrics_of_the_engine_and_of_workers(protocol: str) -> None:
    async with Collector() as collector:
        options = {
            "endpoint": collector.url,
            "otlp_protocol": protocol,
            "metrics_exporter": "otlp",
        }
        async with running(ObservabilityModule, options) as desk:
            began = desk.clock.now_ns()
            desk.handler("f")
            desk.ask("f")
            now = desk.clock.now_ns()
            module(desk).telemetry.metrics.take(
                [
                    report("tokens", 5, at_ns=now, kind="counter", model="m"),
                    report("totals", 6, at_ns=now, kind="counter", cumulative=True),
                    report("open", 2, at_ns=now, kind="updowncounter"),
                    report("heat", 1.5, at_ns=now),
                    spread("h", 1, 2, 0, total=12, at_ns=now),
                ]
            )
            desk.advance(60)
            await until(lambda: len(collector.received("metrics")) >= 1)
        found = {
            metric.name: (metric, plain(group.resource.attributes)["service.name"])
            for request in collector.received("metrics")
            for group in request.resource_metrics
            for scoped in group.scope_metrics
            for metric in scoped.metrics
        }
    total, service = found["iii.invocations.total"]
    assert service == "iii"
    (point,) = total.sum.data_points
    assert (point.as_double, point.start_time_unix_nano) == (1, began)
    assert (total.sum.is_monotonic, total.sum.aggregation_temporality) == (True, 2)
    (durations,) = found["iii.invocation.duration"][0].histogram.data_points
    assert (durations.count, sum(durations.bucket_counts)) == (1, 1)
    assert plain(durations.attributes) == {"function_id": "f"}
    assert found["iii.workers.active"][0].gauge.data_points[0].as_double == 0
    tokens, service = found["tokens"]
    assert service == "svc"
    assert (tokens.sum.aggregation_temporality, tokens.sum.is_monotonic) == (1, True)
    assert plain(tokens.sum.data_points[0].attributes) == {"model": "m"}
    assert found["totals"][0].sum.aggregation_temporality == 2
    assert not found["open"][0].sum.is_monotonic
    assert found["heat"][0].gauge.data_points[0].as_double == 1.5
    (spread_point,) = found["h"][0].histogram.data_points
    assert (spread_point.count, list(spread_point.bucket_counts)) == (3, [1, 2, 0])


async def test_large_requests_are_compressed() -> None:
    async with Collector() as collector:
        async with running(ObservabilityModule, settings(collector)) as desk:
            desk.handler("f")
            for _ in range(50):
                desk.ask("f")
        (request,) = collector.requests
        assert request.headers["content-encoding"] == "gzip"
        assert len(request.body) < 3000
        assert "call f" in collector.spans()


async def test_what_a_collector_cannot_take_now_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers = ["429 Slow", "503 Busy", "500 No", "200 OK", "200 OK"]

    def answer(_: Request) -> bytes:
        return answering(b"", answers.pop(0), "Retry-After: 0")

    async with Collector(answer) as collector:
        with caplog.at_level(logging.INFO, "iii.export"):
            async with running(ObservabilityModule, settings(collector)) as desk:
                desk.handler("f")
                desk.ask("f")
                desk.advance(1)
                await until(lambda: len(collector.requests) == 4)
        assert len({request.body for request in collector.requests}) == 1
    lines = [record.getMessage() for record in caplog.records if "sent to" in record.getMessage()]
    assert lines == [
        f"traces cannot be sent to {collector.url}/base: HTTP 429",
        f"traces are sent to {collector.url}/base again",
    ]
    assert dropped(desk) == {}


def dropped(desk: Desk) -> dict[str, float]:
    reading = desk.engine.meters.reading("iii.telemetry.dropped")
    assert reading is not None
    return {labels[0]: value for labels, value in reading.points if isinstance(value, (int, float))}


async def test_a_collector_says_how_long_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float, *_: object) -> None:
        pauses.append(seconds)
        await sleep(0)

    answers = ["429 Slow", "429 Slow", "200 OK"]
    after = ["7", "4000", "0"]

    def answer(_: Request) -> bytes:
        return answering(b"", answers.pop(0), f"Retry-After: {after.pop(0)}")

    async with Collector(answer) as collector:
        async with running(ObservabilityModule, settings(collector)) as desk:
            desk.handler("f")
            desk.ask("f")
            monkeypatch.setattr(sender.asyncio, "sleep", note)
        monkeypatch.setattr(sender.asyncio, "sleep", sleep)
    assert [pause for pause in pauses if pause > 5] == [7, sender.MAX_PAUSE]


async def test_writing_requests_leaves_the_processor_to_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rests: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float, *_: object) -> None:
        rests.append(seconds)
        await sleep(0)

    monkeypatch.setattr(sender.time, "thread_time", iter((1.0, 1.5, 2.0, 2.5)).__next__)
    async with Collector() as collector:
        client = Client(asyncio.get_running_loop())
        endpoint = read_endpoint(collector.url, {})
        sending = sender.Sender(client, endpoint, "http/json", encoder("http/json"))
        monkeypatch.setattr(sender.asyncio, "sleep", note)
        assert await sending.send("traces", lambda: TracesRequest([]))
        assert rests == [0.5 * sender.REST]
        sending.hurry = True
        assert await sending.send("traces", lambda: TracesRequest([]))
        assert len(rests) == 1
        monkeypatch.setattr(sender.asyncio, "sleep", sleep)
        client.close()


@pytest.mark.parametrize(("status", "tries"), [("400 Bad", 1), ("401 Who", 1), ("500 No", 4)])
async def test_what_is_refused_or_never_taken_is_dropped_and_counted(
    status: str, tries: int
) -> None:
    async with Collector(lambda _: answering(b"", status)) as collector:
        async with running(ObservabilityModule, settings(collector)) as desk:
            desk.handler("f")
            desk.ask("f")
        assert len(collector.requests) == tries
    assert dropped(desk) == {"traces": 1}


async def test_nobody_there_is_reported_and_the_engine_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Collector() as collector:
        pass
    with caplog.at_level(logging.WARNING, "iii.export"):
        async with running(ObservabilityModule, settings(collector)) as desk:
            desk.handler("f")
            desk.ask("f")
            desk.ask("f")
    assert "cannot be sent to" in caplog.text
    assert "cannot connect to" in caplog.text
    assert dropped(desk) == {"traces": 2}


async def test_the_end_is_not_late_because_of_a_collector_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exporters, "FLUSH_SECONDS", 0.05)
    async with Collector(lambda _: None) as collector:
        async with asyncio.timeout(2.9):  # of the 3 seconds that the end has otherwise
            async with running(ObservabilityModule, settings(collector)) as desk:
                desk.handler("f")
                desk.ask("f")
    assert dropped(desk) == {"traces": 1}


async def test_spans_that_left_the_ring_unseen_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exporters, "EXPORT_BUFFER", 5)
    async with Collector() as collector:
        options = settings(collector, memory_max_spans=5)
        async with running(ObservabilityModule, options) as desk:
            desk.engine.keep_spans(5, 5)
            desk.handler("f")
            for _ in range(25):
                desk.ask("f")
    assert dropped(desk) == {"traces": 15}


async def test_secrets_are_sent_and_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with Collector() as collector:
        options = settings(collector, otlp_headers={"x-key": "hush1"})
        options["endpoint"] = collector.url.replace("//", "//me:hush2@") + "/?k=hush3"
        with caplog.at_level(logging.DEBUG):
            async with running(ObservabilityModule, options) as desk:
                desk.handler("f")
                desk.ask("f")
        (request,) = collector.requests
    assert request.headers["x-key"] == "hush1"
    assert request.headers["authorization"].startswith("Basic ")
    assert "hush3" in request.resource
    assert "hush" not in caplog.text
    assert "exporting to http://127.0.0.1" in caplog.text


async def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.endswith("export.protobuf")]:
        monkeypatch.delitem(sys.modules, name)
    needed = "opentelemetry.proto.collector.logs.v1.logs_service_pb2"
    monkeypatch.setitem(sys.modules, needed, None)
    options = {"exporter": "otlp", "otlp_protocol": "http/protobuf"}
    with pytest.raises(BusError, match=r"agentos\[otlp\]"):
        async with running(ObservabilityModule, options):
            pass


async def test_another_endpoint_while_running() -> None:
    async with Collector() as one, Collector() as two:
        async with running(ObservabilityModule, settings(one)) as desk:
            desk.handler("f")
            desk.ask("f")
            other = msgspec.convert(settings(two), ObservabilityOptions)
            assert await desk.module.reconfigure(other)
            assert len(one.requests) == 1
            wrong = msgspec.convert(settings(two, endpoint="nonsense"), ObservabilityOptions)
            with pytest.raises(BusError, match=r"config\.endpoint"):
                await desk.module.reconfigure(wrong)
            desk.ask("f")
        assert len(one.requests) == 1
        assert len(two.requests) == 1


async def test_without_an_exporter_nothing_goes_out() -> None:
    async with Collector() as collector:
        async with running(ObservabilityModule, {"endpoint": collector.url}) as desk:
            desk.handler("f")
            desk.ask("f")
            desk.advance(61)
        assert collector.requests == []


async def test_spans_as_lines(capsys: pytest.CaptureFixture[str]) -> None:
    async with running(ObservabilityModule, {"exporter": "stdout"}) as desk:
        calls = desk.handler("two\nlines", answer=None)
        desk.engine.call("two\nlines", b"null", None, traceparent=f"00-{TRACE}-00f067aa0ba902b7-01")
        desk.clock.advance(0.0015)
        calls[0].fail("code", "message")
    (line,) = capsys.readouterr().out.splitlines()
    start, _, id = line.partition(" id=")
    assert start == f"span call two?lines 1.500ms error (code) service=iii trace={TRACE}"
    assert id[16:] == " parent=00f067aa0ba902b7"


async def test_a_whole_engine_sends_what_it_has_before_it_ends() -> None:
    async with Collector() as collector:
        options = settings(collector, otlp_protocol="http/protobuf", metrics_exporter="otlp")
        engine = RunningEngine({"iii-observability": options})
        await engine.start()
        async with RawWorker(engine.url) as worker:
            await worker.call("engine::functions::list", {})
            await worker.socket.send(spans_frame(span("of a worker"), service="w"))
            await until(lambda: "of a worker" in {s.name for s in engine.core.spans})
        await engine.stop()
        assert {"call engine::functions::list", "of a worker"} <= set(collector.spans())
        assert collector.received("metrics")
