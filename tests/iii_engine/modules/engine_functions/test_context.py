"""Logs, baggage, health and channels."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import CallFailed, RawWorker

from iii_engine.storage.base import StoreError
from iii_engine.version import VERSION

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("level", ["debug", "info", "warn", "error"])
async def test_log_lines(named: RawWorker, caplog: pytest.LogCaptureFixture, level: str) -> None:
    caplog.set_level(1, "iii.worker")
    line = {"message": "hello %s", "data": {"user": "u"}}
    assert await named.call(f"engine::log::{level}", line, traceparent=TRACE) is None
    (record,) = [r for r in caplog.records if r.name == "iii.worker"]
    assert record.getMessage() == "hello %s"
    assert record.levelno == {"warn": logging.WARNING}.get(
        level, getattr(logging, level.upper(), 0)
    )
    assert record.fields == {  # type: ignore[attr-defined]
        "user": "u",
        "service_name": "embedding",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": "b7ad6b7169203331",
    }


async def test_given_fields_of_a_log_line_win(
    worker: RawWorker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1, "iii.worker")
    fields = {"service_name": "s", "trace_id": "t", "span_id": "p"}
    await worker.call("engine::log::trace", {"message": "m", "data": [1], **fields})
    (record,) = [r for r in caplog.records if r.name == "iii.worker"]
    assert record.levelno == 5
    assert record.fields == fields  # type: ignore[attr-defined]


async def test_a_log_line_below_the_level_is_dropped(
    worker: RawWorker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "iii.worker")
    assert await worker.call("engine::log::info", {"message": "m"}) is None
    assert [r for r in caplog.records if r.name == "iii.worker"] == []


@pytest.mark.parametrize("payload", [{}, {"message": 3}])
async def test_a_log_line_needs_a_text(worker: RawWorker, payload: dict[str, Any]) -> None:
    with pytest.raises(CallFailed) as caught:
        await worker.call("engine::log::info", payload)
    assert caught.value.code == "deserialization_error"


async def test_baggage(worker: RawWorker) -> None:
    header = "user=Am%C3%A9lie , tier=gold;ttl=1,broken,=x"
    everything = await worker.call("engine::baggage::get_all", {}, baggage=header)
    assert everything == {"baggage": {"user": "Amélie", "tier": "gold"}}
    one = await worker.call("engine::baggage::get", {"key": "tier"}, baggage=header)
    assert one == {"value": "gold"}
    assert await worker.call("engine::baggage::get", {"key": "tier"}) == {"value": None}
    assert await worker.call("engine::baggage::get_all") == {"baggage": {}}


async def test_setting_baggage_explains_how(worker: RawWorker) -> None:
    answer = await worker.call("engine::baggage::set", {"key": "k", "value": "v"})
    assert answer["success"] is True
    assert "SDK" in answer["note"]


async def test_health(worker: RawWorker) -> None:
    health = await worker.call("engine::health::check", {})
    assert (health["status"], health["version"]) == ("healthy", VERSION)
    components = health["components"]
    assert components["otel"]["status"] == "healthy"
    assert components["modules"]["details"]["iii-state"] == "running"
    assert components["storage"]["status"] == "healthy"


async def test_a_broken_store_is_degraded_health(
    engine: RunningEngine, worker: RawWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(work: object) -> None:
        raise StoreError("disk full")

    monkeypatch.setattr(engine.app.store, "read", broken)
    health = await worker.call("engine::health::check", {})
    assert health["status"] == "degraded"
    assert health["components"]["storage"] == {
        "status": "degraded",
        "details": {"error": "disk full"},
    }


async def test_modules_case_24_both_ends_share_the_channel(worker: RawWorker) -> None:
    """The keys differ on purpose: each opens its own end only."""
    pair = await worker.call("engine::channels::create", {})
    assert pair["writer"]["channel_id"] == pair["reader"]["channel_id"]
    assert (pair["writer"]["direction"], pair["reader"]["direction"]) == ("write", "read")
    assert pair["writer"]["access_key"] != pair["reader"]["access_key"]
