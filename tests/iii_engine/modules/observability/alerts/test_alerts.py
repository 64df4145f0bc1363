"""Alerts of a running module, in virtual time."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest
from tests.support.bus import Peer
from tests.support.desk import Desk, running
from tests.support.endpoint import Endpoint, answering
from tests.support.reports import report, spread
from tests.support.waiting import until

from iii_engine.config.entries import Entry
from iii_engine.config.options import read_options
from iii_engine.core.access import Access, Rules
from iii_engine.core.grants import Grant
from iii_engine.modules.observability import ObservabilityModule
from iii_engine.modules.observability.alerts import delivery
from iii_engine.modules.observability.metrics.metric import Metric
from iii_engine.modules.observability.options import ObservabilityOptions
from iii_sdk.errors import BusError


def alerts(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"alerts": [{"name": "n", "threshold": 2, **rule} for rule in rules]}


def fail_calls(desk: Desk, times: int) -> None:
    for _ in range(times):
        with pytest.raises(BusError):
            desk.ask("there is no such function")


def row(desk: Desk) -> dict[str, Any]:
    (found,) = desk.ask("engine::alerts::list")["alerts"]
    return dict(found)


def take(desk: Desk, *metrics: Metric) -> None:
    module = desk.module
    assert isinstance(module, ObservabilityModule)
    module.telemetry.metrics.take(metrics)


async def test_modules_case_115_an_error_alert_fires_once_and_clears(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rule = {"metric": "iii.invocations.error", "operator": ">", "cooldown_seconds": 300}
    async with running(ObservabilityModule, alerts(rule)) as desk:
        with caplog.at_level(logging.WARNING, "iii.alerts"):
            fail_calls(desk, 3)
            desk.advance(12)
            assert [record.getMessage() for record in caplog.records] == ["Alert triggered"]
            assert row(desk)["firing"]
            fail_calls(desk, 3)
            desk.advance(40)
            assert len(caplog.records) == 1
            desk.advance(70)
            assert not row(desk)["firing"]
            assert row(desk)["current_value"] == 0
            assert row(desk)["last_triggered"] is not None
            assert len(caplog.records) == 1
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert getattr(record, "fields") == {  # noqa: B009
            "alert": "n",
            "metric": "iii.invocations.error",
            "value": 3,
            "threshold": 2,
            "operator": "GreaterThan",
        }


async def test_it_fires_again_after_its_cooldown_while_it_holds() -> None:
    rule = {"metric": "iii.workers.active", "threshold": 0, "cooldown_seconds": 30}
    rule |= {"action": {"type": "function", "path": "pager"}}
    async with running(ObservabilityModule, alerts(rule)) as desk:
        desk.handler("pager")
        Peer(desk.engine)
        began = desk.clock.now_ns() // 1_000_000
        desk.advance(75)
        assert [call["timestamp"] - began for call in desk.payloads("pager")] == [
            10_000,
            40_000,
            70_000,
        ]
        assert desk.payloads("pager")[0] == {
            "alert": "n",
            "metric": "iii.workers.active",
            "value": 1,
            "threshold": 0,
            "operator": "GreaterThan",
            "timestamp": began + 10_000,
            "firing": True,
        }


async def test_evaluating_on_demand_and_what_is_listed() -> None:
    rules = alerts(
        {"metric": "iii.invocations.total", "operator": ">="},
        {"name": "off", "metric": "iii.invocations.total", "enabled": False},
        {"name": "unknown", "metric": "nobody.reports.this"},
    )
    async with running(ObservabilityModule, rules) as desk:
        now_ms = desk.clock.now_ns() // 1_000_000
        assert desk.ask("engine::alerts::list") == {
            "alerts": [],
            "firing_count": 0,
            "timestamp": now_ms,
        }
        desk.ask("engine::alerts::list")
        assert desk.ask("engine::alerts::evaluate") == {
            "evaluated": True,
            "timestamp": now_ms,
            "triggered_alerts": [
                {
                    "name": "n",
                    "metric": "iii.invocations.total",
                    "value": 2,
                    "threshold": 2,
                    "operator": "GreaterThanOrEqual",
                    "firing": True,
                    "timestamp": now_ms,
                }
            ],
        }
        assert desk.ask("engine::alerts::evaluate")["triggered_alerts"] == []
        listing = desk.ask("engine::alerts::list")
        assert listing["firing_count"] == 1
        assert listing["alerts"] == [
            {
                "name": "n",
                "firing": True,
                "last_evaluated": now_ms,
                "last_triggered": now_ms,
                "current_value": 3,
                "threshold": 2,
                "operator": "GreaterThanOrEqual",
            }
        ]


@pytest.mark.parametrize("options", [{}, {"enabled": False} | alerts({"metric": "m"})])
async def test_without_rules_there_is_a_message(options: dict[str, Any]) -> None:
    async with running(ObservabilityModule, options) as desk:
        now_ms = desk.clock.now_ns() // 1_000_000
        assert desk.ask("engine::alerts::list") == {
            "alerts": [],
            "firing_count": 0,
            "message": "Alert manager not initialized",
            "timestamp": now_ms,
        }
        assert desk.ask("engine::alerts::evaluate") == {
            "evaluated": False,
            "message": "Alert manager not initialized",
            "timestamp": now_ms,
        }


async def test_counters_of_workers_count_their_sum_and_gauges_their_average() -> None:
    rules = alerts(*({"name": name, "metric": name} for name in ("c", "t", "g", "h")))
    async with running(ObservabilityModule, rules) as desk:
        now = desk.clock.now_ns()
        for number in (2, 4):
            take(
                desk,
                report("c", number, at_ns=now, kind="counter"),
                report("t", number, at_ns=now, kind="counter", cumulative=True),
                report("g", number, at_ns=now),
                spread("h", number, 0, 0, total=number, at_ns=now),
                spread("h", 0, 0, 0, at_ns=now),
            )
        desk.advance(10)
        found = {r["name"]: r["current_value"] for r in desk.ask("engine::alerts::list")["alerts"]}
        assert found == {"c": 6, "t": 4, "g": 3, "h": 1}
        desk.advance(70)
        listing = desk.ask("engine::alerts::list")
        assert listing["firing_count"] == 0, "nothing was reported within the window"


async def test_instruments_of_the_engine_by_name() -> None:
    rules = alerts({"metric": "my.counter"}, {"name": "depth", "metric": "my.depth"})
    async with running(ObservabilityModule, rules) as desk:
        counter = desk.engine.meters.counter("my.counter", ("k",))
        depth = desk.engine.meters.observe("my.depth", lambda: [((), 4.0)])
        counter.add("a", amount=2)
        counter.add("b")
        desk.advance(10)
        found = {r["name"]: r for r in desk.ask("engine::alerts::list")["alerts"]}
        assert (found["n"]["current_value"], found["n"]["firing"]) == (3, True)
        assert (found["depth"]["current_value"], found["depth"]["firing"]) == (4, True)
        desk.advance(70)
        found = {r["name"]: r for r in desk.ask("engine::alerts::list")["alerts"]}
        assert (found["n"]["firing"], found["depth"]["firing"]) == (False, True)
        depth.end()


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("iii.invocations.total", 3),
        ("iii.invocations.success", 2),
        ("iii.invocations.error", 1),
        ("iii.invocations.deferred", 0),
        ("iii.workers.spawns", 2),
        ("iii.workers.deaths", 1),
        ("iii.workers.active", 1),
    ],
)
async def test_what_the_engine_counts(metric: str, value: float) -> None:
    async with running(ObservabilityModule, alerts({"metric": metric})) as desk:
        desk.handler("f")
        desk.ask("f")
        desk.ask("f")
        fail_calls(desk, 1)
        Peer(desk.engine)
        desk.engine.disconnect(Peer(desk.engine).session)
        desk.advance(10)
        assert row(desk)["current_value"] == value


async def test_a_rule_that_stays_keeps_its_state_when_the_options_change() -> None:
    rule = {"metric": "iii.workers.active", "threshold": 0}
    async with running(ObservabilityModule, alerts(rule)) as desk:
        Peer(desk.engine)
        desk.advance(10)
        triggered = row(desk)["last_triggered"]
        more = alerts(rule, {"name": "other", "metric": "x"})
        assert await desk.module.reconfigure(msgspec.convert(more, ObservabilityOptions))
        assert row(desk)["last_triggered"] == triggered
        assert await desk.module.reconfigure(ObservabilityOptions())
        assert "message" in desk.ask("engine::alerts::list")
        assert await desk.module.reconfigure(msgspec.convert(more, ObservabilityOptions))
        desk.advance(10)
        assert row(desk)["last_triggered"] != triggered


async def test_a_function_that_fails_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    rule = {"metric": "iii.workers.active", "operator": "<", "action": "function"}
    async with running(ObservabilityModule, alerts(rule | {"function_id": "gone"})) as desk:
        with caplog.at_level(logging.WARNING, "iii.alerts"):
            desk.advance(10)
    assert "alert 'n': gone failed: Function gone not found" in caplog.text


async def test_the_alerts_of_the_config_go_to_no_guarded_worker_that_was_not_named() -> None:
    rule = {"metric": "iii.workers.active", "action": {"type": "function", "path": "pager"}}
    async with running(ObservabilityModule, alerts(rule)) as desk:
        guest = Peer(desk.engine, access=Access(Rules(), Grant(), desk.engine.registry))
        guest.offer("pager")
        assert guest.session.functions == {}
        await desk.module.stop()
        guest.offer("pager")
        assert list(guest.session.functions) == ["pager"]


# -- webhooks --------------------------------------------------------------------------------------

ALWAYS = {"metric": "iii.workers.active", "operator": "<"}


async def test_a_webhook_gets_the_alert_as_json() -> None:
    async with Endpoint(lambda _: answering()) as endpoint:
        action = {"type": "webhook", "url": f"{endpoint.url}/hook"}
        async with running(ObservabilityModule, alerts(ALWAYS | {"action": action})) as desk:
            desk.advance(10)
            await until(lambda: endpoint.requests)
            (request,) = endpoint.requests
    assert (request.method, request.resource) == ("POST", "/hook")
    assert request.headers["content-type"] == "application/json"
    assert request.json == {
        "alert": "n",
        "metric": "iii.workers.active",
        "value": 0,
        "threshold": 2,
        "operator": "LessThan",
        "timestamp": desk.clock.now_ns() // 1_000_000,
    }


async def test_a_webhook_is_tried_three_times_and_only_its_host_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert delivery.PAUSES == (1, 2)
    monkeypatch.setattr(delivery, "PAUSES", (0.0, 0.0))
    async with Endpoint(lambda _: answering(status="500 No")) as endpoint:
        url = f"{endpoint.url}/hush?key=secret"
        rule = ALWAYS | {"action": "webhook", "webhook_url": url}
        async with running(ObservabilityModule, alerts(rule)) as desk:
            with caplog.at_level(logging.ERROR, "iii.alerts"):
                desk.advance(10)
                await until(lambda: caplog.records)
        assert len(endpoint.requests) == 3
    assert caplog.messages == [
        f"alert 'n': webhook at 127.0.0.1:{endpoint.port} failed: HTTP 500",
    ]


async def test_a_webhook_that_hangs_is_not_asked_again_and_ends_with_the_module(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Endpoint(lambda _: None) as endpoint:
        rule = ALWAYS | {"action": "webhook", "webhook_url": endpoint.url, "cooldown_seconds": 10}
        async with running(ObservabilityModule, alerts(rule)) as desk:
            desk.advance(10)
            await until(lambda: endpoint.requests)
            with caplog.at_level(logging.WARNING, "iii.alerts"):
                desk.advance(10)
            assert "still under way" in caplog.text
            await asyncio.sleep(0)
        assert len(endpoint.requests) == 1


def test_a_wrong_rule_keeps_the_engine_from_starting() -> None:
    entry = Entry(
        "iii-observability", "iii-observability", alerts({"metric": "m", "operator": "~"})
    )
    options = read_options(entry, ObservabilityOptions)
    with pytest.raises(BusError, match=r"config\.alerts\[0\]\.operator"):
        ObservabilityModule.check(options)
