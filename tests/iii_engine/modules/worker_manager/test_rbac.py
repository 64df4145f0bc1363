"""Guarded listeners of a real engine, and their part of the config file (modules 3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.raw_worker import CallFailed, RawWorker
from tests.support.waiting import until
from websockets.asyncio.client import connect

from iii_engine.app import App
from iii_engine.config.entries import parse
from iii_engine.config.errors import ConfigError
from iii_engine.config.plan import make_plan
from iii_engine.core.standing import Standing
from iii_engine.modules.worker_manager.options import WorkerManagerOptions
from iii_engine.modules.worker_manager.rbac import make_rules

LISTENER = "  - name: iii-worker-manager\n    config: {host: 127.0.0.1, port: 0%s}\n"
AUTH = ", rbac: {auth_function_id: auth, expose_functions: ['match(\"open::*\")']}"


def config(*extras: str) -> Any:
    return parse("workers:\n" + "".join(LISTENER % e for e in extras), Path("c.yaml"), {})


class Site:
    """A trusted listener and two guarded ones."""

    def __init__(self, app: App) -> None:
        self.app = app

    def url(self, number: int) -> str:
        name = "iii-worker-manager" + (f"#{number}" if number else "")
        address = self.app.modules[name].address
        assert address is not None
        return "ws://{}:{}".format(*address)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    app = App(config("", AUTH, ", middleware_function_id: middle"))
    await app.start()
    yield Site(app)
    await app.stop(grace=0)


@pytest.fixture
async def guard(site: Site) -> AsyncIterator[RawWorker]:
    async with RawWorker(site.url(0)) as guard:
        await guard.register("auth")
        yield guard


async def test_listeners_have_rules_of_their_own_and_share_everything_else(
    site: Site, guard: RawWorker
) -> None:
    await guard.register("closed::f")
    await guard.register("middle")
    enter = asyncio.create_task(RawWorker(site.url(1)).__aenter__())
    await guard.answer(await guard.invoked("auth"), {})
    guest = await enter
    with pytest.raises(CallFailed, match="FORBIDDEN"):
        await guest.call("closed::f")
    await guest.register("open::g")
    async with RawWorker(site.url(2)) as other:
        call = asyncio.create_task(other.call("open::g", {"x": 1}))
        question = await guard.invoked("middle")
        assert question["data"]["payload"] == {"x": 1}
        await guard.answer(question, "from the middle")
        assert await call == "from the middle"
    call = asyncio.create_task(guard.call("open::g", 1))
    await guest.answer(await guest.invoked("open::g"), 2)
    assert await call == 2
    await guest.close()


async def test_the_auth_function_sees_headers_query_and_address(
    site: Site, guard: RawWorker
) -> None:
    url = f"{site.url(1)}/?token=a&token=b&empty="
    enter = asyncio.create_task(RawWorker(url, {"X-Test-Token": "t"}).__aenter__())
    question = await guard.invoked("auth")
    assert question["data"]["headers"]["x-test-token"] == "t"
    assert question["data"]["query_params"] == {"token": ["a", "b"], "empty": [""]}
    assert question["data"]["ip_address"] == "127.0.0.1"
    await guard.answer(question, {})
    await (await enter).close()


async def test_nothing_is_applied_before_the_decision(site: Site, guard: RawWorker) -> None:
    engine = site.app.engine
    async with connect(site.url(1)) as socket:
        await socket.send('{"type":"registerfunction","id":"early"}')
        question = await guard.invoked("auth")
        await guard.settle()
        assert "early" not in engine.registry
        assert len(engine.sessions) == 1
        await guard.answer(question, {})
        assert "workerregistered" in str(await socket.recv())
        await until(lambda: "early" in engine.registry)


async def test_what_comes_with_the_handshake_is_kept(site: Site, guard: RawWorker) -> None:
    host, _, port = site.url(1).removeprefix("ws://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    text = b'{"type":"registerfunction","id":"early"}'
    frame = bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text
    writer.write(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" + frame
    )
    question = await guard.invoked("auth")
    assert "early" not in site.app.engine.registry
    await guard.answer(question, {})
    await until(lambda: "early" in site.app.engine.registry)
    writer.close()
    await writer.wait_closed()
    del reader


@pytest.mark.parametrize("path", ["/", "/otel"])
async def test_wire_case_79_a_refusal_is_a_frame_and_a_close(
    site: Site, guard: RawWorker, path: str
) -> None:
    async with connect(site.url(1) + path) as socket:
        for number in range(50):  # data that nobody reads must not destroy the reason
            await socket.send(f'{{"type":"registerfunction","id":"f{number}"}}')
        await guard.fail(await guard.invoked("auth"), "x", "invalid token")
        frame = await socket.recv()
        error = '{"code":"AUTH_ERROR","message":"invalid token"}'
        assert frame == f'{{"type":"error","error":{error}}}'
        await socket.wait_closed()
        assert (socket.close_code, socket.close_reason) == (1008, "AUTH_ERROR")
    assert len(site.app.engine.sessions) == 1
    assert "f0" not in site.app.engine.registry


async def test_telemetry_sockets_are_admitted_too(site: Site, guard: RawWorker) -> None:
    frames: list[bytes] = []
    module: Any = site.app.modules["iii-worker-manager#1"]
    module.listener.on_telemetry = frames.append
    async with connect(site.url(1) + "/otel") as socket:
        await socket.send(b"OTLP{}")
        question = await guard.invoked("auth")
        assert frames == []
        await guard.answer(question, {})
        await until(lambda: frames == [b"OTLP{}"])
    assert len(site.app.engine.sessions) == 1


async def test_wire_case_80_the_auth_function_may_come_later(site: Site) -> None:
    enter = asyncio.create_task(RawWorker(site.url(1)).__aenter__())
    await until(lambda: site.app.engine.timers.next_deadline_ns())
    async with RawWorker(site.url(0)) as guard:
        await guard.register("auth")
        await guard.answer(await guard.invoked("auth"), {})
        guest = await enter
        await guest.close()


async def test_who_leaves_while_waiting_is_forgotten(site: Site, guard: RawWorker) -> None:
    waiting = connect(site.url(1))
    socket = await waiting
    question = await guard.invoked("auth")
    await site.app.modules["iii-worker-manager#1"].stop()
    await socket.wait_closed()
    assert socket.close_code == 1012
    await guard.answer(question, {})
    await guard.settle()
    assert len(site.app.engine.sessions) == 1
    # The rules of the listener went with it.
    await guard.close()
    reliance, guest = site.app.engine.reliance, Standing("guest")
    await until(lambda: "configuration" not in str(reliance.refusal("auth", guest)))
    assert reliance.refusal("middle", guest) is not None
    site.app.modules.pop("iii-worker-manager#1")


# -- options ---------------------------------------------------------------------------------------


def test_everything_of_rbac_is_read() -> None:
    entry = (
        ", middleware_function_id: m, rbac: {auth_function_id: a, "
        "on_function_registration_function_id: f, on_trigger_registration_function_id: t, "
        "on_trigger_type_registration_function_id: tt, "
        "expose_functions: [\"match('a::*')\", {metadata: {public: true}}]}"
    )
    (planned,) = [p for p in make_plan(config(entry)).modules if "manager" in p.entry.name]
    options = planned.options
    assert isinstance(options, WorkerManagerOptions)
    rules = make_rules(options.rbac, options.middleware_function_id)
    assert rules is not None
    assert rules.guarded
    assert rules.gatekeepers == {"a", "f", "t", "tt", "m"}
    assert len(rules.expose) == 2


def test_without_rbac_workers_are_trusted() -> None:
    assert make_rules(None, None) is None
    rules = make_rules(None, "m")
    assert rules is not None
    assert not rules.guarded


@pytest.mark.parametrize(
    ("rbac", "complaint"),
    [
        ("{expose_functions: ['a::*']}", "expose_functions[0]: expected match("),
        ("{expose_functions: [{metadata: {}}]}", "expose_functions[0]: metadata: names no key"),
        ("{expose_functions: [{meta: 1}]}", "rbac.expose_functions[0]: unknown field `meta`"),
        ("{auth: a}", "config.rbac: unknown field `auth`"),
        ("true", "config.rbac: invalid type"),
    ],
)
def test_mistakes_are_named(rbac: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_plan(config(f", rbac: {rbac}"))
    assert complaint in str(caught.value)
