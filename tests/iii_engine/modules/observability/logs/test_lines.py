"""`engine::log::*` and the functions about what is stored."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tests.support.desk import Desk, running
from tests.support.telemetry import logs_frame
from tests.support.waiting import until

from iii_engine.modules.observability import ObservabilityModule
from iii_engine.version import VERSION
from iii_sdk.errors import BusError

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


def stored(desk: Desk, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = desk.ask("engine::logs::list", query)["logs"]
    return found


def echoed(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "iii.worker"]


@pytest.mark.parametrize(
    ("level", "number"), [("trace", 1), ("debug", 5), ("info", 9), ("warn", 13), ("error", 17)]
)
async def test_a_line_is_a_record(desk: Desk, level: str, number: int) -> None:
    line = {"message": "hello %s", "data": {"user": {"id": 1}, "_caller_worker_id": "w"}}
    assert desk.ask(f"engine::log::{level}", line, traceparent=PARENT) is None
    (found,) = stored(desk)
    now = desk.clock.now_ns()
    assert found == {
        "timestamp_unix_nano": now,
        "observed_timestamp_unix_nano": now,
        "severity_number": number,
        "severity_text": level.upper(),
        "body": "hello %s",
        "attributes": {"user": {"id": 1}},
        "trace_id": TRACE,
        "span_id": SPAN,
        "resource": {},
        "service_name": "iii",
        "instrumentation_scope_name": "iii",
        "instrumentation_scope_version": VERSION,
    }


async def test_given_fields_win(desk: Desk) -> None:
    fields = {"service_name": "s", "trace_id": "T", "span_id": "p"}
    desk.ask("engine::log::info", {"message": "m", "data": [1], **fields}, traceparent=PARENT)
    (found,) = stored(desk, trace_id="T")
    assert {key: found[key] for key in fields} == fields
    assert found["attributes"] == {}


@pytest.mark.parametrize("payload", [None, {}, {"message": 3}])
async def test_a_line_needs_a_text(desk: Desk, payload: object) -> None:
    with pytest.raises(BusError) as caught:
        desk.ask("engine::log::info", payload)
    assert caught.value.code == "deserialization_error"
    assert stored(desk) == []


async def test_lines_are_shown_among_the_engines_own(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1, "iii.worker")
    line = {"message": "hello %s", "data": {"user": "u"}, "service_name": "s"}
    desk.ask("engine::log::trace", line, traceparent=PARENT)
    desk.engine.on_telemetry(logs_frame({"severityNumber": 18, "body": {"stringValue": "x"}}))
    await until(lambda: len(echoed(caplog)) == 2)
    first, second = echoed(caplog)
    assert (first.getMessage(), first.levelno, second.levelno) == ("hello %s", 5, logging.ERROR)
    assert first.fields == {  # type: ignore[attr-defined]
        "user": "u",
        "service_name": "s",
        "trace_id": TRACE,
        "span_id": SPAN,
    }
    await until(lambda: len(stored(desk)) == 2)  # and not once more as lines of the engine


async def test_lines_can_be_kept_off_the_console(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1, "iii.worker")
    async with running(ObservabilityModule, {"logs_console_output": False}) as desk:
        desk.ask("engine::log::error", {"message": "m"})
        assert len(stored(desk)) == 1
    assert echoed(caplog) == []


async def test_the_level_of_the_console_is_not_that_of_the_store(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "iii.worker")
    desk.ask("engine::log::info", {"message": "m"})
    assert echoed(caplog) == []
    assert len(stored(desk)) == 1


async def test_records_are_cleared(desk: Desk) -> None:
    desk.ask("engine::log::info", {"message": "m"})
    assert desk.module.components()["logs"].details == {"stored_logs": 1}
    assert desk.ask("engine::logs::clear") == {"success": True}
    assert stored(desk) == []


async def test_old_records_go_while_nobody_looks() -> None:
    async with running(ObservabilityModule, {"logs_retention_seconds": 100}) as desk:
        desk.ask("engine::log::info", {"message": "m"})
        desk.advance(59)
        assert len(desk.module.telemetry.logs) == 1
        desk.advance(62)
        assert len(desk.module.telemetry.logs) == 0


async def test_modules_case_116_switched_off(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1, "iii")
    async with running(ObservabilityModule, {"logs_enabled": False}) as desk:
        desk.ask("engine::log::error", {"message": "m"})
        logging.getLogger("iii.test").error("a line of the engine")
        desk.engine.on_telemetry(logs_frame({"severityNumber": 9}))
        await until(lambda: not desk.module.telemetry.intake.waiting)
        assert desk.ask("engine::logs::list")["total"] == 0
        assert desk.module.components()["logs"].status == "disabled"
    assert echoed(caplog) == []
