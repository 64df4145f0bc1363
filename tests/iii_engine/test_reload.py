"""A running engine follows its config file. Case numbers are those of the engine-modules spec."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.engine import EngineProcess
from tests.support.raw_worker import RawWorker
from tests.support.servers import free_port
from tests.support.waiting import until

from iii_engine import logs
from iii_engine.app import App
from iii_engine.cli.main import make_parser
from iii_engine.cli.run import source_of
from iii_engine.config_source import ConfigSource
from iii_engine.reloader import Reloader

MANAGER = "- {name: iii-worker-manager, config: {host: 127.0.0.1, port: 0%s}}\n"
HTTP = "- {name: iii-http, config: {host: 127.0.0.1, port: %s}}\n"
STATE = "- {name: iii-state}\n"


class Followed:
    """An app in this process that follows a file; `write` waits until it was taken up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = ConfigSource(path)

    async def start(self, text: str) -> None:
        self.path.write_text(text)
        self.app = App(self.source.read())
        await self.app.start()
        self.reloader = Reloader(self.app, self.source)

    async def stop(self) -> None:
        await self.reloader.stop()
        await self.app.stop(grace=0)

    @property
    def url(self) -> str:
        return "ws://{}:{}".format(*self.app.address)

    async def write(self, text: str) -> None:
        self.path.write_text("workers:\n" + text)
        await self.taken_up()

    async def taken_up(self) -> None:
        await until(lambda: self.source.read_stamp == self.source.stamp(), "the file was read")
        await until(lambda: not self.reloader.applying, "what it says was applied")

    async def health(self) -> Any:
        async with RawWorker(self.url) as worker:
            return (await worker.call("engine::health::check", {}))["components"]["config"]


@pytest.fixture
async def followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Followed]:
    monkeypatch.setattr("iii_engine.reloader.POLL_SECONDS", 0.01)
    monkeypatch.setattr("iii_engine.reloader.SETTLE_SECONDS", 0.02)
    made = Followed(tmp_path / "config.yaml")
    await made.start("workers:\n" + MANAGER % "" + HTTP % 0)
    yield made
    await made.stop()


def put(path: Path, text: str) -> None:
    path.write_text(text)


def text_of(path: Path) -> str:
    return path.read_text()


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
        assert time.monotonic() - written < 2
        functions = await worker.call("engine::functions::list", {"include_internal": True})
        assert not [f for f in functions["functions"] if f["function_id"].startswith("state::")]
        written = time.monotonic()
        put(config_file, before)
        await until(has_type)
        assert time.monotonic() - written < 2


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
        assert name + "0}" in text
        put(config_file, text.replace(name + "0}", f"{name}{new}}}"))

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


# -- the file ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "\n \n"])
async def test_an_emptied_file_keeps_what_runs(followed: Followed, text: str) -> None:
    async with RawWorker(followed.url) as worker:
        put(followed.path, text)
        await followed.taken_up()
        config = (await worker.call("engine::health::check", {}))["components"]["config"]
        assert config["status"] == "degraded"
        assert config["details"]["error"].endswith("it is empty")


async def test_a_file_that_goes_and_comes_back(followed: Followed) -> None:
    text = text_of(followed.path)
    followed.path.unlink()
    await followed.taken_up()
    assert "Config file not found" in (await followed.health())["details"]["error"]
    put(followed.path, text)
    await followed.taken_up()
    assert (await followed.health())["status"] == "healthy"


async def test_a_file_that_is_replaced_or_a_link_that_is_switched(
    followed: Followed, tmp_path: Path
) -> None:
    new = tmp_path / "new.yaml"
    put(new, "workers:\n" + MANAGER % "" + HTTP % 0 + STATE)
    new.rename(followed.path)
    await followed.taken_up()
    assert "iii-state" in followed.app.modules
    target = tmp_path / "target.yaml"
    put(target, "workers:\n" + MANAGER % "")
    link = tmp_path / "link"
    link.symlink_to(target)
    link.rename(followed.path)
    await followed.taken_up()
    assert "iii-http" not in followed.app.modules


async def test_a_file_is_read_when_it_has_been_quiet(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    read, stamp = followed.source.read, followed.source.stamp

    def counted() -> Any:
        nonlocal reads
        reads += 1
        return read()

    text = "workers:\n" + MANAGER % "" + STATE
    pieces = [text[:length] for length in range(1, len(text), 20)] + [text]

    def written_on() -> Any:
        """The file whenever it is looked at, while an editor writes it piece by piece."""
        if pieces:
            put(followed.path, pieces.pop(0))
        return stamp()

    monkeypatch.setattr(followed.source, "read", counted)
    monkeypatch.setattr(followed.source, "stamp", written_on)
    await until(lambda: not pieces)
    await followed.taken_up()
    assert reads == 1
    assert (await followed.health())["status"] == "healthy"


async def test_stopping_while_the_file_is_being_written(followed: Followed) -> None:
    put(followed.path, "workers: [")
    await followed.reloader.stop()
    assert followed.app.host.config_problem is None


def test_the_default_config_is_not_watched() -> None:
    parser = make_parser()
    assert source_of(parser.parse_args(["--use-default-config"])) is None
    source = source_of(parser.parse_args(["--config", "x.yaml", "--port", "7"]))
    assert source is not None
    assert source.path == Path("x.yaml")


async def test_the_level_of_the_log_changes(followed: Followed) -> None:
    """Only the program's own log is configured, so the settings are given here."""
    await followed.reloader.stop()
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    followed.reloader = Reloader(followed.app, followed.source, logs.LogSettings("iii.x=debug"))
    try:
        await followed.write(
            MANAGER % "" + "- {name: iii-observability, config: {level: 'warn,iii.y=trace'}}\n"
        )
        assert root.level == logging.WARNING
        assert logging.getLogger("iii.x").level == logging.NOTSET
        assert logging.getLogger("iii.y").level == logs.TRACE
    finally:
        logging.getLogger("iii.y").setLevel(logging.NOTSET)
        root.handlers[:], level = before[0], before[1]
        root.setLevel(level)
