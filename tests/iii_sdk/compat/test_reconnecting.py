"""Instances whose engine comes and goes, and whose handlers block."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from tests.support.servers import free_port
from tests.support.waiting import until, until_sync

from iii_sdk import III, IIIInvocationError, InitOptions, ReconnectionConfig, register_worker
from iii_sdk.compat.options import LimitedBackoff

QUICK = ReconnectionConfig(initial_delay_ms=20, max_delay_ms=100)


def test_wire_case_52_registered_while_the_engine_is_down(engine_process, make, answered):
    engine_process.kill()
    start = time.monotonic()
    worker = make(engine_process.url, reconnection_config=QUICK)
    worker.register_function("again::early", lambda data: "early")
    worker.register_trigger("engine::workers-available", "again::early")
    note = worker.trigger("again::early", timeout_ms=20_000)
    worker.trigger_void("again::early")
    assert time.monotonic() - start < 10
    assert not worker.wait_connected(0.01)
    engine_process.start()
    assert worker.wait_connected(10)
    assert note.result(10) == "early"
    caller = make(engine_process.url)
    assert answered(caller, "again::early") == "early"
    assert [t.function_id for t in caller.list_triggers().result(5)] == ["again::early"]


@pytest.mark.parametrize("code", [1000, 1001, 1008, None])
async def test_wire_case_90_every_end_of_the_socket_leads_to_a_new_one(engine, code):
    iii = III(engine.url, reconnection_config=QUICK)
    states = []
    iii.on_connection_state(states.append)
    iii.register_function("again::echo", lambda data: data)
    iii.register_trigger("cron", "again::echo", {"expression": "0 0 0 1 1 *"})
    try:
        for sockets in (1, 2):
            await until(lambda n=sockets: engine.connections == n)
            await until(lambda: "again::echo" in engine.core.registry and len(engine.triggers) == 1)
            assert await engine.call("again::echo", [sockets]) == [sockets]
            if sockets == 1:
                engine.cut(code)
        await until(lambda: states[-1:] == ["connected"])
        assert states.count("connected") == 2
        assert "reconnecting" in states
    finally:
        await asyncio.to_thread(iii.shutdown)


async def test_wire_case_89_a_handler_that_blocks_its_loop(engine, monkeypatch):
    """The signs of life are asked for every 50 ms here: the handler blocks for 20 of them, as 90
    seconds are more than three of the usual 20."""
    monkeypatch.setattr("iii_sdk.reconnection.PING_SECONDS", 0.05)
    iii = III(engine.url)
    went_on, release = threading.Event(), threading.Event()

    @iii.function("again::blocks")
    async def blocks(data):
        release.wait(30)  # as machine-learning code does
        return "awake"

    @iii.function("again::beside")
    def beside(data):
        went_on.set()

    try:
        await until(lambda: "again::beside" in engine.core.registry)
        answer = asyncio.create_task(engine.call("again::blocks"))
        await engine.call("again::beside")
        assert went_on.is_set()
        blocked = time.monotonic()
        await until(lambda: time.monotonic() - blocked > 1)
        assert not answer.done()
        release.set()
        assert await answer == "awake"
        assert engine.connections == 1
    finally:
        await asyncio.to_thread(iii.shutdown)


async def test_what_is_said_of_the_worker(engine):
    iii = III(
        engine.url,
        InitOptions(telemetry={"framework": "mine", "project_name": "demo"}),
        worker_name="said",
        headers={"X-Team": "a"},
        description="Says",
    )
    try:
        await until(lambda: engine.metadata)
        (said,) = engine.metadata
        assert engine.sockets[0].headers["x-team"] == "a"
        assert (said["name"], said["description"]) == ("said", "Says")
        assert (said["runtime"], said["dialect"]) == ("python", "0.11")
        assert said["telemetry"]["framework"] == "mine"
        assert said["telemetry"]["project_name"] == "demo"
        await until(lambda: iii.worker_id == engine.sockets[0].session.id)
    finally:
        await asyncio.to_thread(iii.shutdown)


def test_register_worker_gives_up_when_the_retries_are_used_up():
    config = ReconnectionConfig(initial_delay_ms=1, max_retries=2)
    with pytest.raises(ConnectionError, match="gave up connecting"):
        register_worker(f"ws://127.0.0.1:{free_port()}", InitOptions(reconnection_config=config))


def test_states_of_an_instance_that_gave_up(make):
    iii = make(f"ws://127.0.0.1:{free_port()}", reconnection_config={"max_retries": 0})
    call = iii.trigger("x")
    until_sync(lambda: iii.get_connection_state() == "failed")
    with pytest.raises(IIIInvocationError):
        call.result(5)
    with pytest.raises(ConnectionError):
        iii.wait_connected()


async def test_the_number_of_retries():
    gave_up = asyncio.Event()
    config = ReconnectionConfig(initial_delay_ms=1, max_retries=3)
    backoff = LimitedBackoff.of(config, gave_up.set)
    for _ in range(3):
        backoff.next()
    await asyncio.sleep(0)
    assert not gave_up.is_set()
    backoff.next()
    await asyncio.wait_for(gave_up.wait(), 10)


async def test_connect_async_waits(engine_process):
    iii = III(engine_process.url)
    await iii.connect_async()
    assert iii.get_connection_state() == "connected"
    await iii.shutdown()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"invocation_timeout_ms": -1}, "invocation_timeout_ms"),
        ({"reconnection_config": {"retries": 1}}, "reconnection_config"),
        ({"reconnection_config": 7}, "reconnection_config: expected ReconnectionConfig or dict"),
        ({"otel": {"bogus": 1}}, "otel"),
        ({"address": "http://x"}, "not a ws:// or wss:// URL"),
    ],
)
def test_wrong_options(options, problem):
    with pytest.raises((TypeError, ValueError), match=problem):
        III(**options)


def test_telemetry_options_are_accepted_and_without_effect(url, make):
    iii = make(url, InitOptions(otel={"enabled": False}, enable_metrics_reporting=False))
    assert iii.wait_connected(10)
