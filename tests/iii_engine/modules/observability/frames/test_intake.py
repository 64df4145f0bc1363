"""When frames are read, and what becomes of those that are no use."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.desk import Desk, running
from tests.support.telemetry import logs_frame, metrics_frame, span, spans_frame
from tests.support.waiting import until

from iii_engine.modules.observability import ObservabilityModule
from iii_engine.modules.observability.frames import intake


async def read(desk: Desk, *frames: bytes) -> Any:
    """Send frames and wait until they are read."""
    for frame in frames:
        desk.engine.on_telemetry(frame)
    telemetry = desk.module.telemetry
    await until(lambda: not telemetry.intake.waiting)
    return telemetry


GAUGE = {"name": "m", "gauge": {"dataPoints": [{"asInt": 1}]}}


async def test_frames_are_stored_by_kind(desk: Desk) -> None:
    telemetry = await read(
        desk,
        spans_frame(span("work")),
        logs_frame({"severityNumber": 9}),
        metrics_frame(GAUGE),
    )
    assert [s.name for s in desk.engine.spans] == ["work"]
    assert (len(telemetry.logs), len(telemetry.metrics)) == (1, 1)


@pytest.mark.promise(
    "Observability", "Who calls never waits for telemetry: it is read in turns of its own."
)
async def test_nothing_is_read_while_the_frame_is_taken(desk: Desk) -> None:
    desk.engine.on_telemetry(spans_frame(span("work")))
    assert len(desk.engine.spans) == 0
    answers: list[bytes] = []
    desk.engine.call("engine::traces::list", b"{}", lambda result, _: answers.append(bytes(result)))
    assert answers == []
    await until(lambda: answers)
    assert b'"total":1' in answers[0]


async def test_a_large_frame_takes_several_turns(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "BATCH", 2)
    seen: list[int] = []
    desk.module.telemetry.logs.listeners.append(lambda records: seen.append(len(records)))
    await read(desk, logs_frame(*[{"severityNumber": 9}] * 5))
    assert seen == [2, 2, 1]


@pytest.mark.parametrize(
    "frame",
    [
        b"MTRC",
        b"MTRC{",
        b"MTRC[]",
        b'MTRC{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":3}]}]}]}',
        b"OTLP\xff",
        b'OTLP{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"no ids"}]}]}]}',
        b'LOGS{"resourceLogs":{}}',
        b"WHAT{}",
        b"x",
        b'LOGS{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":'
        + b'{"arrayValue":{"values":[' * 3000
        + b"]}}" * 3000
        + b"}]}]}]}",
        b'LOGS{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":9,"body":'
        + b'{"arrayValue":{"values":[' * 90
        + b"]}}" * 90
        + b"}]}]}]}",
        b'LOGS{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":9,"body":'
        + b'{"intValue":%b}' % (b"1" * 5000)
        + b"}]}]}]}",
        b'LOGS{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":9,"body":'
        + b'{"intValue":"%b"}' % (b"1" * 5000)
        + b"}]}]}]}",
    ],
)
async def test_frames_that_are_no_use(
    desk: Desk, caplog: pytest.LogCaptureFixture, frame: bytes
) -> None:
    telemetry = await read(desk, frame, logs_frame({"severityNumber": 9}))
    assert telemetry.intake.dropped == 1
    assert "telemetry frame dropped (1 so far)" in caplog.text
    assert any(record.severity_number == 9 for record in telemetry.logs)


async def test_many_bad_frames_are_one_warning(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = await read(desk, *[b"MTRC{"] * 50)
    assert telemetry.intake.dropped == 50
    assert caplog.text.count("telemetry frame dropped") == 1


async def test_too_much_at_once_drops_the_oldest(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [spans_frame(span(f"work {n}", n + 1)) for n in range(4)]
    monkeypatch.setattr(intake, "MAX_WAITING", 2 * len(frames[0]))
    monkeypatch.setattr(intake, "MAX_FRAME", 2 * len(frames[0]))
    telemetry = await read(desk, spans_frame(*[span("big")] * 9), *frames)
    assert [s.name for s in desk.engine.spans] == ["work 2", "work 3"]
    assert telemetry.intake.dropped == 3


async def test_a_listener_that_fails_does_not_stop_the_others(desk: Desk) -> None:
    telemetry = desk.module.telemetry
    failures: list[Any] = []
    desk.module.host.loop.set_exception_handler(lambda _, context: failures.append(context))

    def broken(records: Any) -> None:
        telemetry.logs.listeners.remove(broken)
        raise ZeroDivisionError

    telemetry.logs.listeners.append(broken)
    await read(desk, logs_frame({"severityNumber": 9}), spans_frame(span("work")))
    assert isinstance(failures[0]["exception"], ZeroDivisionError)
    assert [s.name for s in desk.engine.spans] == ["work"]


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        ({"enabled": False}, (0, 1, 1)),
        ({"logs_enabled": False}, (1, 0, 1)),
        ({"metrics_enabled": False}, (1, 1, 0)),
    ],
)
async def test_what_is_switched_off_is_not_read(
    options: dict[str, Any], stored: tuple[int, int, int]
) -> None:
    async with running(ObservabilityModule, options) as desk:
        frames = spans_frame(span("s")), logs_frame({"severityNumber": 9}), metrics_frame(GAUGE)
        telemetry = await read(desk, *frames)
        assert (len(desk.engine.spans), len(telemetry.logs), len(telemetry.metrics)) == stored


async def test_what_waits_at_the_end_is_forgotten() -> None:
    async with running(ObservabilityModule) as desk:
        desk.engine.on_telemetry(spans_frame(span("s")))
    desk.engine.on_telemetry(spans_frame(span("s")))
    assert len(desk.engine.spans) == 0
