"""Case numbers are those of the engine-modules spec."""

from __future__ import annotations

import asyncio
import re
import resource
import signal
import socket
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest
from tests.support.engine import EngineProcess, RunningEngine
from tests.support.raw_worker import CallFailed, RawWorker
from tests.support.waiting import until, until_sync

from iii_engine.app import App, raise_descriptor_limit, status_lines
from iii_engine.config.entries import parse
from iii_engine.config.errors import ConfigError
from iii_engine.module_set import StartError

LISTENER = "{name: iii-worker-manager, config: {host: 127.0.0.1, port: 0}}"


def app(*entries: str) -> App:
    text = "workers:\n" + "".join(f"- {entry}\n" for entry in (LISTENER, *entries))
    return App(parse(text, Path("config.yaml"), {}))


async def test_modules_case_10_two_listeners_of_one_kind_serve_the_same_routes() -> None:
    http = "{name: iii-http, config: {host: 127.0.0.1, port: 0}}"
    started = app(http, http)
    await started.start()
    try:
        async with RawWorker("ws://{}:{}".format(*started.address)) as worker:
            rows = (await worker.call("engine::workers::list", {}))["workers"]
            assert {"iii-http", "iii-http#1"} <= {row["name"] for row in rows}
            await worker.register("hello")
            early = await worker.register_trigger("http", "hello", {"api_path": "/early"})
            for name in ("iii-http", "iii-http#1"):
                assert await served_by(started, name, "/early", worker) == 200
            # The type stays with the other one, also when the first of them stops.
            await started.modules.pop("iii-http").stop()
            await worker.register_trigger("http", "hello", {"api_path": "/late"})
            for path in ("/early", "/late"):
                assert await served_by(started, "iii-http#1", path, worker) == 200
            await worker.send("unregistertrigger", id=early, trigger_type="http")
            assert await served_by(started, "iii-http#1", "/early", worker) == 404
            await started.modules.pop("iii-http#1").stop()
            types = await worker.call("engine::trigger-types::list", {})
            assert "http" not in {row["id"] for row in types["trigger_types"]}
    finally:
        await started.stop(grace=0)


async def served_by(started: App, module: str, path: str, worker: RawWorker) -> int:
    """The status of a GET at one listener; the worker answers what reaches it."""
    address = started.modules[module].address
    assert address is not None
    async with httpx2.AsyncClient(base_url="http://{}:{}".format(*address)) as client:
        request = asyncio.ensure_future(client.get(path))
        called = asyncio.ensure_future(worker.invoked("hello"))
        await asyncio.wait([request, called], return_when=asyncio.FIRST_COMPLETED)
        if called.done():
            await worker.answer(called.result(), {"ok": True})
        called.cancel()
        return (await request).status_code


@pytest.mark.parametrize("kind", ["iii-http", "iii-worker-manager"])
async def test_modules_case_12_a_taken_port(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failing = app(f"{{name: {kind}, config: {{host: 127.0.0.1, port: {port}}}}}")
        name = kind if kind == "iii-http" else f"{kind}#1"
        with pytest.raises(StartError) as caught:
            await failing.start()
    assert str(caught.value) == (
        f"failed to initialize worker '{name}': address 127.0.0.1:{port} is already in use"
    )
    assert failing.modules == {}


async def test_an_address_that_is_not_ours() -> None:
    failing = app("{name: iii-http, config: {host: 203.0.113.1, port: 0}}")
    with pytest.raises(StartError, match=r"'iii-http': cannot listen on 203.0.113.1:0: "):
        await failing.start()


def test_a_config_that_cannot_work_is_refused_before_anything_starts() -> None:
    with pytest.raises(ConfigError):
        app("{name: iii-http, config: {prot: 1}}")


async def test_status_lines(engine: RunningEngine) -> None:
    lines = status_lines(engine.app)
    assert lines[0] == f"engine listening on 127.0.0.1:{engine.app.address[1]}"
    assert "module iii-state ready" in lines
    assert any(re.fullmatch(r"module iii-http listening on 127.0.0.1:\d+", x) for x in lines)


async def test_stop_waits_for_calls_under_way(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as caller, RawWorker(engine.url) as callee:
        await callee.register("slow")
        calling = asyncio.create_task(caller.call("slow", {}))
        invocation = await callee.invoked("slow")
        stopping = asyncio.create_task(engine.app.stop(grace=5))
        await asyncio.sleep(0)
        assert not stopping.done()
        await callee.answer(invocation, {"ok": True})
        assert await calling == {"ok": True}
        await stopping
        assert await callee.close_code() == 1012
    await engine.start()


async def test_no_worker_connects_while_calls_under_way_end(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker, RawWorker(engine.url) as caller:
        await worker.register("slow")
        call = asyncio.ensure_future(caller.call("slow"))
        invoked = await worker.invoked("slow")
        stopping = asyncio.create_task(engine.app.stop(grace=5))
        await asyncio.sleep(0)
        with pytest.raises(OSError):
            async with RawWorker(engine.url):
                pass
        assert not stopping.done()
        await worker.answer(invoked, "done")
        assert await call == "done"
        await stopping


async def test_stop_does_not_wait_longer_than_its_grace(
    engine: RunningEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async with RawWorker(engine.url) as worker:
        await worker.register("never")
        await worker.send("invokefunction", function_id="never", invocation_id="1", data={})
        await worker.invoked("never")
        await engine.app.stop(grace=0.05)
    assert "1 calls did not end within 0.05 s" in caplog.text
    await engine.start()


@pytest.mark.promise(
    "Calls", "An engine that stops answers every call under way before it closes a connection."
)
async def test_calls_that_outlive_the_grace_are_answered_before_anybody_is_closed(
    engine: RunningEngine,
) -> None:
    async with AsyncExitStack() as stack, httpx2.AsyncClient(base_url=engine.http_url) as client:
        worker = await stack.enter_async_context(RawWorker(engine.url))
        await worker.register("never")
        await worker.register_trigger("http", "never", {"api_path": "/never"})
        callers = [await stack.enter_async_context(RawWorker(engine.url)) for _ in range(8)]
        calls = [asyncio.ensure_future(each.failure("never")) for each in (*callers, worker)]
        requests = [asyncio.ensure_future(client.get("/never")) for _ in range(3)]
        for _ in (*calls, *requests):
            await worker.invoked("never")
        await engine.app.stop(grace=0.05)
        for call in calls:
            assert await call == ("invocation_stopped", "Invocation stopped")
        assert [(await each).status_code for each in requests] == [503] * 3
        for peer in (worker, *callers):
            assert await peer.close_code() == 1012
    await engine.start()


async def test_a_module_that_cannot_stop_keeps_nothing_else_from_stopping(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def cannot(*arguments: object) -> None:
        raise KeyError("odd")

    started = app()
    await started.start()
    address = started.address
    monkeypatch.setattr(type(started.modules["iii-engine-functions"]), "quiesce", cannot)
    monkeypatch.setattr(type(started.modules["iii-engine-functions"]), "stop", cannot)
    await started.stop(grace=0)
    assert "KeyError: 'odd'" in caplog.text
    assert started.modules == {}
    assert list(started.engine.registry) == []
    with pytest.raises(OSError):
        async with RawWorker("ws://{}:{}".format(*address)):
            pass


async def test_restart_keeps_the_ports(engine: RunningEngine) -> None:
    urls = engine.url, engine.http_url
    await engine.restart()
    assert (engine.url, engine.http_url) == urls
    async with RawWorker(engine.url) as worker:
        assert (await worker.call("engine::health::check"))["status"] == "healthy"


# -- as a program --------------------------------------------------------------------------------


async def test_modules_case_16_a_value_survives_a_stop_and_a_kill(
    engine_process: EngineProcess,
) -> None:
    for key, end in (("a", engine_process.stop), ("b", engine_process.kill)):
        async with RawWorker(engine_process.url) as worker:
            await worker.call("state::set", {"scope": "s", "key": key, "value": 1})
        await asyncio.to_thread(end)
        await asyncio.to_thread(engine_process.start)
    async with RawWorker(engine_process.url) as worker:
        assert await worker.call("state::list", {"scope": "s"}) == [1, 1]


def test_a_signal_ends_it_with_0(engine_process: EngineProcess) -> None:
    assert engine_process.stop() == 0
    assert "Traceback" not in engine_process.output


async def test_a_second_signal_ends_it_at_once_with_130(engine_process: EngineProcess) -> None:
    async with RawWorker(engine_process.url) as worker:
        await worker.register("never")
        await worker.send("invokefunction", function_id="never", invocation_id="1", data={})
        await worker.invoked("never")
        engine_process.signal(signal.SIGTERM)
        await until(lambda: "stopping" in engine_process.output)
        with pytest.raises(CallFailed):  # still served while it stops
            await worker.call("nope")
        assert await asyncio.to_thread(engine_process.stop) == 130


def test_modules_case_12_as_a_program(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = tmp_path / "config.yaml"
        config.write_text(
            f"workers: [{LISTENER}, {{name: iii-http, config: {{host: 127.0.0.1, port: {port}}}}}]"
        )
        ended = subprocess.run(
            [sys.executable, "-m", "iii_engine", "--config", str(config)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr == (
        f"failed to initialize worker 'iii-http': address 127.0.0.1:{port} is already in use\n"
    )


def test_modules_case_17_a_second_engine_on_the_same_store(
    engine_process: EngineProcess, tmp_path: Path
) -> None:
    second = tmp_path / "second.yaml"
    second.write_text(
        f"workers: [{LISTENER}, {{name: iii-state, config: {{adapter: {{name: kv, "
        f"config: {{store_method: file_based, file_path: {tmp_path}/data/state}}}}}}}}]"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "iii_engine", "--config", str(second)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1
    assert "lock" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_fixture_waits_until_everything_is_ready(engine_process: EngineProcess) -> None:
    until_sync(lambda: "module iii-http listening" in engine_process.output)
    assert engine_process.port


def test_the_engine_allows_itself_all_files_it_may_have() -> None:
    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    try:
        raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
