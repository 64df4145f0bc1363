"""The module as a whole: health, hot reload."""

from __future__ import annotations

import msgspec
import pytest
from tests.support.desk import running
from tests.support.engine import RunningEngine, loopback

from iii_engine.app import App
from iii_engine.config.entries import Config, Entry
from iii_engine.module_set import StartError
from iii_engine.modules.observability import ObservabilityModule
from iii_engine.modules.observability.options import ObservabilityOptions


async def test_health_names_service_and_exporter() -> None:
    async with running(ObservabilityModule, {"service_name": "shop"}) as desk:
        otel = desk.module.components()["otel"]
        assert otel.details == {"enabled": True, "service_name": "shop", "exporter": "memory"}


async def test_disabled_health() -> None:
    async with running(ObservabilityModule, {"enabled": False}) as desk:
        assert desk.module.components()["otel"].status == "disabled"


async def test_options_change_in_place() -> None:
    async with running(ObservabilityModule) as desk:
        module = desk.module
        assert await module.reconfigure(
            msgspec.convert({"service_name": "b"}, ObservabilityOptions)
        )
        assert module.telemetry.settings.service_name == "b"
        assert module.options.service_name == "b"


async def test_switching_on_or_off_is_a_restart() -> None:
    async with running(ObservabilityModule) as desk:
        off = msgspec.convert({"enabled": False}, ObservabilityOptions)
        assert not await desk.module.reconfigure(off)


async def test_there_is_one_only() -> None:
    entries = tuple(
        Entry(name, name.partition("#")[0]) for name in ("iii-observability", "iii-observability#1")
    )
    with pytest.raises(StartError, match="one iii-observability only"):
        await App(Config(entries)).start()


async def test_a_second_one_is_refused_and_changes_nothing(engine: RunningEngine) -> None:
    core = engine.core
    taken, ring = core.on_telemetry, core.spans.capacity
    second = {"iii-observability#1": {"enabled": False, "memory_max_spans": 3}}
    problem = await engine.app.apply(engine.app.prepare(loopback(engine._config, second)))
    assert "there can be one iii-observability only" in str(problem)
    assert core.on_telemetry == taken
    assert core.spans.capacity == ring
    core.add_function("f::x", lambda call: call.reply(), module="test")
    before = len(core.spans.records())
    core.call("f::x", b"{}", lambda *_: None)
    assert len(core.spans.records()) == before + 1
