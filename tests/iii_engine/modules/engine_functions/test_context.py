"""Baggage, health and channels."""

from __future__ import annotations

import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker

from iii_engine.storage.base import StoreError
from iii_engine.version import VERSION


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


async def test_a_store_that_replaced_a_corrupt_one_is_degraded_health(
    engine: RunningEngine, worker: RawWorker
) -> None:
    engine.app.store.replaced = "the store was corrupt; 0 items of store.db.corrupt-1 are left"
    health = await worker.call("engine::health::check", {})
    assert health["status"] == "degraded"
    assert "0 items" in health["components"]["storage"]["details"]["error"]


async def test_modules_case_24_both_ends_share_the_channel(worker: RawWorker) -> None:
    """The keys differ on purpose: each opens its own end only."""
    pair = await worker.call("engine::channels::create", {})
    assert pair["writer"]["channel_id"] == pair["reader"]["channel_id"]
    assert (pair["writer"]["direction"], pair["reader"]["direction"]) == ("write", "read")
    assert pair["writer"]["access_key"] != pair["reader"]["access_key"]
