"""Connections of bridges: shared, lost, and to nowhere."""

from __future__ import annotations

import logging

import pytest
from tests.support.bridges import Start, ask, bridge, connected, listed
from tests.support.engine import RunningEngine
from tests.support.waiting import until

from iii_sdk.errors import BusError


async def test_modules_with_the_same_address_share_one_connection(engine: RunningEngine) -> None:
    expose = {"iii-bridge": "a", "iii-bridge#1": "b"}
    options = {
        name: {"url": engine.url, "expose": [{"local_function": function_id}]}
        for name, function_id in expose.items()
    }
    local = RunningEngine(options)
    await local.start()
    try:
        await until(lambda: listed(engine, "a"))
        await until(lambda: listed(engine, "b"))
        assert len(engine.core.sessions) == 1
        assert offered_by(local, "bridge.invoke") == "iii-bridge"
        first = local.app.modules.pop("iii-bridge")
        await first.stop()
        assert offered_by(local, "bridge.invoke") == "iii-bridge#1"
        assert await ask(local, "bridge.invoke", {"function_id": "state::list_groups"})
        assert await listed(engine, "b")
    finally:
        await local.stop()


def offered_by(engine: RunningEngine, function_id: str) -> str | None:
    function = engine.core.registry.get(function_id)
    return None if function is None else function.module


async def test_the_health_of_a_bridge_is_that_of_its_connection(
    engine: RunningEngine, bridged: Start
) -> None:
    local = await bridged()
    await connected(local)

    async def status() -> tuple[str, str]:
        modules = (await ask(local, "engine::health::check"))["components"]["modules"]
        return modules["status"], modules["details"]["iii-bridge"]

    assert await status() == ("healthy", "running")
    await engine.stop()
    await until(lambda: bridge(local).status() != "running")
    assert (await status())[0] == "degraded"
    await engine.start()
    await until(lambda: bridge(local).status() == "running")


async def test_a_bridge_to_nowhere_does_not_keep_an_engine_from_starting(
    bridged: Start, caplog: pytest.LogCaptureFixture
) -> None:
    local = await bridged(url="ws://127.0.0.1:1/?token=s3cret")
    place = "ws://127.0.0.1:1/?***"
    await until(lambda: f"no connection to the engine at {place}" in caplog.text)
    with pytest.raises(BusError, match="invocation timed out"):
        await ask(local, "bridge.invoke", {"function_id": "f", "timeout_ms": 20})
    assert "s3cret" not in caplog.text


async def test_a_connection_is_one_line_in_the_log(
    bridged: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await connected(await bridged())
    lines = [r.getMessage() for r in caplog.records if "picows" in r.name or "bridge" in r.name]
    assert [line.split(" ws://")[0] for line in lines] == ["connected to the engine at"]


async def test_a_bridge_to_the_engine_itself_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    local = RunningEngine()
    await local.start()
    url = local.url
    await local.stop()
    port = int(url.rpartition(":")[2])
    looped = RunningEngine({"iii-bridge": {"url": url}, "iii-worker-manager": {"port": port}})
    await looped.start()
    try:
        await until(lambda: bridge(looped).status() == "the url is that of this engine itself")
        with pytest.raises(BusError, match="bridge_error"):
            await ask(looped, "bridge.invoke", {"function_id": "state::list_groups"})
    finally:
        await looped.stop()
