"""A running engine follows its config file. Case numbers are those of the engine-modules spec."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.engine import EngineProcess
from tests.support.followed import HTTP, MANAGER, STATE, Followed, put, text_of
from tests.support.raw_worker import RawWorker
from tests.support.servers import free_port
from tests.support.waiting import until

from iii_engine.app import App

# -- the numbered cases, on the program ----------------------------------------------------------


@pytest.fixture
def config_file(engine_process: EngineProcess, tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


async def test_modules_case_13_add_and_remove_a_module(
    engine_process: EngineProcess, config_file: Path
) -> None:
    before = text_of(config_file)
    without = before[: before.index("  - name: iii-state")]
    async with RawWorker(engine_process.url) as worker:

        async def has_type() -> bool:
            types = (await worker.call("engine::trigger-types::list", {}))["trigger_types"]
            return "state" in {row["id"] for row in types}

        async def has_not_type() -> bool:
            return not await has_type()

        assert await has_type()
        written = time.monotonic()
        put(config_file, without)
        await until(has_not_type)
        assert time.monotonic() - written < 6  # 2 are promised; the machine may be busy
        functions = await worker.call("engine::functions::list", {"include_internal": True})
        assert not [f for f in functions["functions"] if f["function_id"].startswith("state::")]
        written = time.monotonic()
        put(config_file, before)
        await until(has_type)
        assert time.monotonic() - written < 6  # 2 are promised; the machine may be busy


@pytest.mark.promise(
    "Operation",
    "A config file that does not work changes nothing, and the health check says why.",
)
async def test_modules_case_14_a_broken_file_keeps_the_old_config(
    engine_process: EngineProcess, config_file: Path
) -> None:
    before = text_of(config_file)
    async with RawWorker(engine_process.url) as worker:

        async def is_in_state(status: str) -> Any:
            health = await worker.call("engine::health::check", {})
            found = health["components"]["config"]
            return found if found["status"] == status else None

        assert await is_in_state("healthy")
        put(config_file, "workers: [")
        found = await until(lambda: is_in_state("degraded"))
        assert "Failed to parse config file" in found["details"]["error"]
        assert "line 1 column 11" in found["details"]["error"]
        assert "Failed to parse config file" in engine_process.output
        await worker.call("state::set", {"scope": "s", "key": "k", "value": 1})
        put(config_file, before)
        await until(lambda: is_in_state("healthy"))
        assert await worker.call("state::get", {"scope": "s", "key": "k"}) == 1


@pytest.mark.promise(
    "Operation",
    "Another port serves the routes that are registered, without a restart.",
)
async def test_modules_case_15_another_port_serves_the_registered_route(
    engine_process: EngineProcess, config_file: Path
) -> None:
    old = int(engine_process.http_url.rpartition(":")[2])
    new = free_port()
    async with RawWorker(engine_process.url) as worker, httpx2.AsyncClient() as client:
        await worker.register("hello")
        await worker.register_trigger("http", "hello", {"api_path": "/hello"})
        text = text_of(config_file)
        name = "- name: iii-http\n    config: {host: 127.0.0.1, port: "
        assert f"{name}{old}}}" in text
        put(config_file, text.replace(f"{name}{old}}}", f"{name}{new}}}"))

        async def listens() -> bool:
            try:
                (await asyncio.open_connection("127.0.0.1", new))[1].close()
            except ConnectionRefusedError:
                return False
            return True

        await until(listens)
        request = asyncio.ensure_future(client.get(f"http://127.0.0.1:{new}/hello"))
        await worker.answer(await worker.invoked("hello"), "hi")
        assert (await request).json() == "hi"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", old)


# -- what must not be noticed --------------------------------------------------------------------


async def test_connections_and_calls_under_way_survive_other_changes(followed: Followed) -> None:
    address = followed.app.modules["iii-http"].address
    assert address is not None
    async with RawWorker(followed.url) as worker:
        await worker.register("hello")
        await worker.register_trigger("http", "hello", {"api_path": "/hello"})
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
        invocation = await worker.invoked("hello")
        calling = asyncio.ensure_future(worker.call("hello", {"from": "bus"}))
        other = await worker.invoked("hello")
        await followed.write(
            MANAGER % ", max_message_bytes: 1000000, worker_silence_ms: 900000"
            + HTTP % "0, body_limit: 77, openapi: true, cors: {allowed_origins: ['http://a']}"
            + STATE
        )
        assert followed.app.modules["iii-http"].options.body_limit == 77
        await worker.answer(invocation, "answered")
        await worker.answer(other, "on the bus")
        assert await calling == "on the bus"
        assert b'"answered"' in await asyncio.wait_for(reader.readuntil(b'"answered"'), 5)
        writer.write(b"GET /_iii/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"/hello" in await asyncio.wait_for(reader.readuntil(b"/hello"), 5)
        assert await worker.call("state::get", {"scope": "s", "key": "k"}) is None
        writer.close()
        await writer.wait_closed()


async def test_a_file_that_says_the_same_changes_nothing(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    before = dict(followed.app.modules)
    caplog.set_level(logging.INFO, "iii")
    await followed.write("# hello\n" + MANAGER % "" + HTTP % 0)
    assert followed.app.modules == before
    assert [r.message for r in caplog.records if r.name.startswith("iii.")] == [
        f"{followed.path}: applied"
    ]


# -- listeners that come and go ------------------------------------------------------------------


async def test_a_new_listener_serves_the_routes_that_exist(followed: Followed) -> None:
    async with RawWorker(followed.url) as worker, httpx2.AsyncClient() as client:
        await worker.register("hello")
        await worker.register_trigger("http", "hello", {"api_path": "/hello"})

        async def asked(name: str) -> Any:
            address = followed.app.modules[name].address
            assert address is not None
            request = asyncio.ensure_future(client.get("http://{}:{}/hello".format(*address)))
            await worker.answer(await worker.invoked("hello"), name)
            return (await request).json()

        await followed.write(MANAGER % "" + HTTP % 0 + HTTP % 0)
        assert await asked("iii-http#1") == "iii-http#1"
        assert list(followed.app.modules)[-1] == "iii-worker-manager"
        await followed.write(MANAGER % "" + HTTP % 0)
        assert await asked("iii-http") == "iii-http"
        # All of them gone, the trigger waits for the next one.
        await followed.write(MANAGER % "")
        await followed.write(MANAGER % "" + HTTP % 0)
        assert await asked("iii-http") == "iii-http"


async def test_a_listener_may_take_the_port_that_another_gives_up(followed: Followed) -> None:
    first, second = free_port(), free_port()
    await followed.write(MANAGER % "" + HTTP % first + HTTP % second)
    assert followed.app.modules["iii-http#1"].address == ("127.0.0.1", second)
    # Without the first entry, the first instance is the one on the second port.
    await followed.write(MANAGER % "" + HTTP % second)
    assert followed.app.modules["iii-http"].address == ("127.0.0.1", second)
    assert await followed.health() == {"status": "healthy", "details": {}}


async def test_a_taken_port_is_reported_and_the_rest_applied(followed: Followed) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        before = followed.app.modules["iii-http"].address
        async with RawWorker(followed.url) as worker:
            await followed.write(MANAGER % ", worker_silence_ms: 9000" + HTTP % port + STATE)
            await worker.settle()
        assert followed.app.modules["iii-http"].address == before
        assert "iii-state" in followed.app.modules
        assert await followed.health() == {
            "status": "degraded",
            "details": {
                "error": "failed to change worker 'iii-http': "
                f"address 127.0.0.1:{port} is already in use"
            },
        }
    # It is free now; the file need only be touched.
    await followed.write(MANAGER % "" + HTTP % port + STATE)
    assert followed.app.modules["iii-http"].address == ("127.0.0.1", port)
    assert (await followed.health())["status"] == "healthy"


async def test_mandatory_modules_cannot_be_removed(followed: Followed) -> None:
    followed.source._port = 0
    await followed.write(HTTP % 0)
    mandatory = {"iii-engine-functions", "iii-observability", "iii-worker-manager"}
    assert set(followed.app.modules) == {"iii-http"} | mandatory
    assert (await followed.health())["status"] == "healthy"


# -- files that are refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- {name: iii-http, config: {prot: 1}}\n", "unknown field `prot`"),
        ("- {name: iii-http, config: {port: ${NOT_SET}}}\n", "environment variables not set"),
        ("- {name: nobody-knows}\n", "failed to create worker 'nobody-knows'"),
        ("- {name: iii-observability, config: {level: loud}}\n", "unknown level `loud`"),
    ],
)
async def test_what_is_refused_changes_nothing(
    followed: Followed, text: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = {name: (m, m.options) for name, m in followed.app.modules.items()}
    await followed.write(MANAGER % ", worker_silence_ms: 5" + STATE + text)
    assert {name: (m, m.options) for name, m in followed.app.modules.items()} == before
    health = await followed.health()
    assert health["status"] == "degraded"
    assert reason in health["details"]["error"]
    assert reason in caplog.records[-1].getMessage()


async def test_the_store_cannot_move(followed: Followed, tmp_path: Path) -> None:
    kept = f"{{store_method: file_based, file_path: {tmp_path}/data}}"
    await followed.write(
        MANAGER % "" + f"- {{name: iii-state, config: {{adapter: {{config: {kept}}}}}}}\n"
    )
    health = await followed.health()
    assert "Restart the engine to move its store" in health["details"]["error"]
    assert not (tmp_path / "data").exists()
    await followed.write(
        MANAGER % "" + "- {name: iii-state, config: {adapter: {config: {save_interval_ms: 1}}}}\n"
    )
    assert (await followed.health())["status"] == "healthy"
    # What has no effect on a module does not start it again.
    more = "- {name: iii-kv%s}\n- {name: iii-pubsub%s}\n"
    await followed.write(MANAGER % "" + STATE + more % ("", ""))
    before = dict(followed.app.modules)
    config = (", config: {save_interval_ms: 1}", ", config: {adapter: {name: local}}")
    await followed.write(MANAGER % "" + STATE + more % config)
    assert followed.app.modules == before
    assert before["iii-kv"].options.save_interval_ms == 1


async def test_a_bug_in_a_module_ends_nothing(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(app: App, plan: object) -> list[str]:
        raise RuntimeError("no")

    monkeypatch.setattr(App, "apply", fails)
    await followed.write(MANAGER % "" + STATE)
    assert (await followed.health())["details"] == {"error": "internal error: RuntimeError"}
    monkeypatch.undo()
    followed.path.touch()
    await until(lambda: "iii-state" in followed.app.modules)
