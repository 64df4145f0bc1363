"""Lines of the engine's own log."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from tests.support.desk import Desk, running
from tests.support.waiting import until

from iii_engine.modules.observability import ObservabilityModule
from iii_engine.modules.observability.logs import capture

log = logging.getLogger("iii.test")


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1, "iii")


def stored(desk: Desk) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = desk.ask("engine::logs::list")["logs"]
    return [record for record in found if record["attributes"]["target"] == log.name]


async def test_a_line_is_a_record(desk: Desk) -> None:
    fields = {"trace_id": "t", "span_id": "", "port": 1, "why": ["a"]}
    log.warning("listening on %d", 1, extra={"fields": fields})
    (found,) = stored(desk)
    assert (found["severity_number"], found["severity_text"]) == (13, "WARN")
    assert (found["body"], found["service_name"]) == ("listening on 1", "iii")
    assert found["instrumentation_scope_name"] == "tracing"
    assert found["attributes"] == {"port": 1, "why": "['a']", "target": "iii.test"}
    assert (found["trace_id"], found["span_id"]) == ("t", None)
    assert found["resource"]["service.name"] == "iii"


async def test_an_exception_is_named(desk: Desk) -> None:
    try:
        raise ZeroDivisionError("no")
    except ZeroDivisionError:
        log.exception("it broke")
    (found,) = stored(desk)
    assert found["severity_text"] == "ERROR"
    assert found["attributes"]["exception.type"] == "ZeroDivisionError"
    assert found["attributes"]["exception.message"] == "no"


async def test_lines_are_stored_in_the_next_turn(desk: Desk) -> None:
    logs = desk.module.telemetry.logs
    log.info("a")
    log.info("b")
    assert len(logs) == 0
    await until(lambda: len(logs) == 2)


async def test_lines_of_other_threads(desk: Desk) -> None:
    await asyncio.to_thread(log.info, "from a thread")
    await until(lambda: [r["body"] for r in stored(desk)] == ["from a thread"])


async def test_a_flood_keeps_the_newest(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert capture.MAX_WAITING == 10_000
    for number in range(capture.MAX_WAITING + 5):
        log.debug("%d", number)
    desk.ask("engine::logs::list", {"limit": 1})
    bodies = [record.body for record in desk.module.telemetry.logs]
    assert bodies[-1] == str(capture.MAX_WAITING + 4)


async def test_nothing_is_taken_after_the_end() -> None:
    handlers = list(logging.getLogger("iii").handlers)
    async with running(ObservabilityModule) as desk:
        log.info("waits")
        assert len(logging.getLogger("iii").handlers) == len(handlers) + 1
    log.info("late")
    assert logging.getLogger("iii").handlers == handlers
    assert len(desk.module.telemetry.logs) == 0
