"""Options of the worker listener that change while workers are connected."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from tests.support.raw_worker import CallFailed, RawWorker
from tests.support.servers import free_port, refused
from tests.support.waiting import until
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from iii_engine.core.clock import SeededIds, SystemClock
from iii_engine.core.engine import Engine
from iii_engine.core.standing import Standing
from iii_engine.modules.base import Host
from iii_engine.modules.worker_manager import WorkerManagerModule
from iii_engine.modules.worker_manager.options import WorkerManagerOptions
from iii_engine.modules.worker_manager.rbac import RbacOptions
from iii_engine.storage.memory import MemoryStore


@pytest.fixture
async def module() -> AsyncIterator[WorkerManagerModule]:
    engine = Engine(SystemClock(), SeededIds(1))
    host = Host(engine, MemoryStore(), asyncio.get_running_loop())
    made = WorkerManagerModule("iii-worker-manager", WorkerManagerOptions(port=0), host)
    await made.start()
    yield made
    await made.stop()


async def reconfigure(module: WorkerManagerModule, **options: Any) -> bool:
    return await module.reconfigure(msgspec.structs.replace(module.options, **options))


def url(module: WorkerManagerModule) -> str:
    return f"ws://127.0.0.1:{module.port}"


async def test_connected_workers_do_not_notice(module: WorkerManagerModule) -> None:
    port = module.port
    async with RawWorker(url(module)) as callee, RawWorker(url(module)) as caller:
        await callee.register("f")
        asking = asyncio.ensure_future(caller.call("f"))
        invocation = await callee.invoked("f")
        assert await reconfigure(
            module,
            worker_silence_ms=1_000_000,
            invocation_timeout_ms=60_000,
            max_message_bytes=1000,
            handshake_timeout_ms=5000,
            allowed_origins=["http://here"],
        )
        await callee.answer(invocation, "x" * 2000)  # accepted when it connected
        assert await asking == "x" * 2000
    assert module.port == port
    assert module.listener.limits.invocation_timeout_ms == 60_000
    assert module.listener.limits.worker_silence_ms == 1_000_000


async def test_each_listener_has_a_timeout_of_its_own(module: WorkerManagerModule) -> None:
    other = WorkerManagerModule("iii-worker-manager#1", WorkerManagerOptions(port=0), module.host)
    await other.start()
    try:
        async with RawWorker(url(module)) as hasty, RawWorker(url(other)) as patient:
            await reconfigure(module, invocation_timeout_ms=50)
            assert await reconfigure(other, invocation_timeout_ms=60_000)
            timeouts = {s.id: s.timeout_ms for s in module.engine.sessions.values()}
            assert timeouts == {hasty.id: 50, patient.id: 60_000}
    finally:
        await other.stop()


async def test_a_new_size_holds_for_new_connections(module: WorkerManagerModule) -> None:
    await reconfigure(module, max_message_bytes=1000)
    async with RawWorker(url(module)) as worker:
        await worker.send_text(" " * 2000)
        assert await worker.close_code() in (1006, 1009)
    await reconfigure(module, max_message_bytes=4000)
    async with RawWorker(url(module)) as worker:
        await worker.send_text(" " * 2000)
        await worker.settle()


async def test_origins_change(module: WorkerManagerModule) -> None:
    page = {"Origin": "http://page"}
    with pytest.raises(InvalidStatus):
        await connect(url(module), additional_headers=page)
    await reconfigure(module, allowed_origins=["http://page"])
    async with RawWorker(url(module), page):
        pass


async def test_nobody_is_refused_while_the_socket_is_handed_over(
    module: WorkerManagerModule,
) -> None:
    stop = False
    done = 0

    async def visitors() -> None:
        nonlocal done
        while not stop:
            async with RawWorker(url(module)) as worker:
                await worker.settle()
            done += 1

    visiting = [asyncio.ensure_future(visitors()) for _ in range(4)]
    for size in range(20):
        await reconfigure(module, max_message_bytes=10_000 + size)
        await until(lambda before=done: done > before)  # type: ignore[misc]
    stop = True
    await asyncio.gather(*visiting)


async def test_another_port_drains_with_1012_after_what_is_under_way(
    module: WorkerManagerModule,
) -> None:
    old = module.port
    async with (
        RawWorker(url(module)) as idle,
        RawWorker(url(module)) as callee,
        RawWorker(url(module)) as caller,
    ):
        await callee.register("f")
        asking = asyncio.ensure_future(caller.call("f"))
        invocation = await callee.invoked("f")
        await reconfigure(module, port=free_port())
        assert refused(old)
        assert await idle.close_code() == 1012
        await callee.answer(invocation, 1)
        assert await asking == 1
        assert await caller.close_code() == 1012
        assert await callee.close_code() == 1012
    async with RawWorker(url(module)) as worker:
        await worker.settle()


async def test_a_worker_that_never_rests_is_ended_when_the_time_is_over(
    module: WorkerManagerModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iii_engine.net.websocket.DRAIN_SECONDS", 0.05)
    async with AsyncExitStack() as stack:
        callee, *callers = [
            await stack.enter_async_context(RawWorker(url(module))) for _ in range(9)
        ]
        await callee.register("f")
        asking = [asyncio.ensure_future(caller.failure("f")) for caller in callers]
        for _ in callers:
            await callee.invoked("f")
        await reconfigure(module, port=free_port())
        for each in asking:
            assert (await each)[0] == "invocation_stopped"
        for peer in (callee, *callers):
            assert await peer.close_code() == 1012


async def test_moving_twice_and_stopping_while_it_drains(module: WorkerManagerModule) -> None:
    async with RawWorker(url(module)) as callee, RawWorker(url(module)) as caller:
        await callee.register("f")
        asking = asyncio.ensure_future(caller.call("f"))
        await callee.invoked("f")
        for _ in range(2):
            await reconfigure(module, port=free_port())
        async with RawWorker(url(module)) as worker:
            await module.listener.close()
            for peer in (callee, caller, worker):
                assert await peer.close_code() == 1012
        asking.cancel()


@pytest.mark.parametrize("host", ["127.0.0.1", "203.0.113.1"])
async def test_an_address_that_cannot_be_had_drops_nobody(
    module: WorkerManagerModule, host: str
) -> None:
    before = module.options
    async with RawWorker(url(module)) as worker:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1] if host == "127.0.0.1" else module.port
            with pytest.raises(OSError):
                await reconfigure(module, host=host, port=port, max_message_bytes=1)
        await worker.settle()
        async with RawWorker(url(module)) as another:
            await another.settle()
    assert module.options is before


async def test_a_listener_that_is_taken_out_drains_too(module: WorkerManagerModule) -> None:
    old = module.port
    async with RawWorker(url(module)) as callee, RawWorker(url(module)) as caller:
        await callee.register("f")
        asking = asyncio.ensure_future(caller.call("f"))
        invocation = await callee.invoked("f")
        draining = asyncio.ensure_future(module.drain(5))
        await until(lambda: refused(old))
        await callee.answer(invocation, 1)
        assert await asking == 1
        await draining
        assert await callee.close_code() == 1012


async def test_other_rules_judge_everybody_anew(module: WorkerManagerModule) -> None:
    guard = RbacOptions(
        expose_functions=['match("open::*")'], on_trigger_registration_function_id="hook"
    )
    async with RawWorker(url(module)) as callee, RawWorker(url(module)) as caller:
        await callee.register("f")
        asking = asyncio.ensure_future(caller.call("f"))
        invocation = await callee.invoked("f")
        await reconfigure(module, rbac=guard)
        assert module.engine.reliance.refusal("hook", Standing("guest")) is not None
        await callee.answer(invocation, 1)
        assert await asking == 1
        assert await caller.close_code() == 1012
        assert await callee.close_code() == 1012
    module.engine.add_function("f", lambda call: call.reply(b"2"), module="test")
    async with RawWorker(url(module)) as caller:
        with pytest.raises(CallFailed, match="FORBIDDEN"):
            await caller.call("f")
        await reconfigure(module, rbac=None)
        assert await caller.close_code() == 1012
    async with RawWorker(url(module)) as caller:
        assert await caller.call("f") == 2
    await until(lambda: module.engine.reliance.refusal("hook", Standing("guest")) is None)


@pytest.mark.parametrize("wanted", [False, True])
async def test_compression_is_accepted_and_declined(
    wanted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host(Engine(SystemClock(), SeededIds(1)), MemoryStore(), asyncio.get_running_loop())
    options = msgspec.convert({"port": 0, "compression": wanted}, WorkerManagerOptions)
    made = WorkerManagerModule("iii-worker-manager", options, host)
    await made.start()
    try:
        async with connect(url(made), compression="deflate") as client:
            assert client.response is not None
            assert "Sec-WebSocket-Extensions" not in client.response.headers
    finally:
        await made.stop()
    assert ("messages are not compressed" in caplog.text) is wanted
