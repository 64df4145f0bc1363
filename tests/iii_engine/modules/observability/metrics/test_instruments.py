"""The engine's own instruments, and the gauges about the processes of workers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.bus import Peer
from tests.support.desk import Desk, running
from tests.support.reports import report

from iii_engine.core import meters
from iii_engine.core.meters import OVERFLOW, Distribution
from iii_engine.modules.observability import ObservabilityModule
from iii_engine.modules.observability.metrics import instruments


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running(ObservabilityModule) as desk:
        yield desk


def points(desk: Desk, name: str) -> list[Any]:
    reading = desk.engine.meters.reading(name)
    assert reading is not None
    return reading.points


async def test_the_five_metrics_of_the_architecture_page_that_an_engine_can_know(
    desk: Desk,
) -> None:
    calls = desk.handler("f", answer=None)
    desk.engine.call("f", b"null", None)
    desk.clock.advance(0.003)
    calls[0].fail("x", "y")
    assert points(desk, "iii.invocations.total") == [((), 1)]
    assert points(desk, "iii.invocations.error") == [((), 1)]
    assert points(desk, "iii.invocation.errors.total") == [((), 1)]
    (((function_id,), spread),) = points(desk, "function_call_duration_ms")
    assert function_id == "f"
    assert isinstance(spread, Distribution)
    assert (spread.total, spread.sum) == (1, pytest.approx(3))
    (((_,), seconds),) = points(desk, "iii.invocation.duration")
    assert seconds.sum == pytest.approx(0.003)


async def test_workers_by_status(desk: Desk) -> None:
    Peer(desk.engine)
    busy = Peer(desk.engine)
    busy.offer("work")
    gone = Peer(desk.engine)
    desk.engine.disconnect(gone.session)
    desk.engine.call("work", b"null", None)
    assert points(desk, "iii.workers.active") == [((), 2)]
    assert points(desk, "iii.workers.spawns.total") == [((), 3)]
    assert points(desk, "iii.workers.deaths.total") == [((), 1)]
    assert sorted(points(desk, "iii.workers.by_status")) == [(("busy",), 1), (("connected",), 1)]


async def test_gauges_of_a_process_go_to_the_worker_that_they_name(desk: Desk) -> None:
    worker = Peer(desk.engine)
    worker.describe(runtime="node", name="w")
    module = desk.module
    assert isinstance(module, ObservabilityModule)
    where = {"worker.id": worker.id, "worker.name": "w"}
    now = desk.clock.now_ns()
    module.telemetry.metrics.take(
        [
            report("iii.worker.memory.rss", 1024, at_ns=now, **where),
            report("iii.worker.cpu.percent", 12.5, at_ns=now, **where),
            report("iii.worker.memory.rss", 1, at_ns=now, **{"worker.id": "unknown"}),
            report("other", 1, at_ns=now, **where),
        ]
    )
    assert worker.session.vitals is not None
    assert worker.session.vitals.runtime == "node"
    assert points(desk, "iii.worker.memory.rss.bytes") == [((worker.id, "w"), 1024)]
    assert points(desk, "iii.worker.cpu.percent") == [((worker.id, "w"), 12.5)]
    assert points(desk, "iii.worker.memory.heap.bytes") == []
    desk.clock.advance(121)
    assert points(desk, "iii.worker.memory.rss.bytes") == []


async def test_functions_beyond_the_limit_share_a_series(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcd":
        desk.handler(name)
        desk.ask(name)
    monkeypatch.setattr(instruments, "MAX_SERIES", 3)
    found = points(desk, "iii.invocation.duration")
    assert [(labels, spread.total) for labels, spread in found] == [
        (("a",), 1),
        (("b",), 1),
        ((OVERFLOW,), 2),
    ]
    assert meters.MAX_SERIES > 3


async def test_they_leave_with_the_module() -> None:
    async with running(ObservabilityModule) as desk:
        assert points(desk, "iii.workers.active")
    assert list(desk.engine.meters.collect()) == []
