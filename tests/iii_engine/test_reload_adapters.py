"""A running engine is told another adapter: only the module that it is for starts again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.raw_worker import RawWorker
from tests.support.servers import RedisServer, free_port

from iii_engine import extras
from iii_engine.app import App
from iii_engine.config.entries import Config, parse
from iii_engine.config.errors import ConfigError
from iii_engine.module_set import StartError

BASE = """
workers:
- {name: iii-worker-manager, config: {host: 127.0.0.1, port: 0}}
- {name: iii-pubsub}
- {name: iii-cron}
- {name: iii-state, config: {adapter: {name: %s, config: {%s}}}}
"""


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    """One whose records are durable."""
    app = App(read(text("kv", f"store_method: file_based, file_path: {tmp_path}/data")))
    await app.start()
    yield app
    await app.stop(grace=0)


def read(text: str) -> Config:
    return parse(text, Path("config.yaml"), {})


def text(adapter: str, config: str) -> str:
    return BASE % (adapter, config)


async def change(app: App, adapter: str, config: str) -> list[str]:
    return await app.apply(app.prepare(read(text(adapter, config))))


async def test_only_the_module_with_another_adapter_starts_again(
    app: App, redis_server: RedisServer
) -> None:
    others = {name: module for name, module in app.modules.items() if name != "iii-state"}
    state = app.modules["iii-state"]
    record = {"scope": "s", "key": "k"}
    async with RawWorker("ws://{}:{}".format(*app.address)) as worker:
        await worker.register("seen")
        await worker.register_trigger("state", "seen", {"scope": "s"})
        assert await change(app, "redis", f"redis_url: '{redis_server.url}'") == []
        assert app.modules["iii-state"] is not state
        assert {name: app.modules[name] for name in others} == others
        await worker.call("state::set", {**record, "value": 1})
        assert (await worker.invoked("seen"))["data"]["new_value"] == 1
        state = app.modules["iii-state"]
        assert await change(app, "redis", f"redis_url: '{redis_server.url}'") == []
        assert app.modules["iii-state"] is state
        lost = f"redis://:s3cret@127.0.0.1:{free_port()}"
        (problem,) = await change(app, "redis", f"redis_url: '{lost}'")
        assert problem.startswith("failed to initialize worker 'iii-state': Redis at redis://:***@")
        assert await worker.call("state::get", record) == 1


async def test_a_durable_store_does_not_become_one_in_memory(app: App) -> None:
    with pytest.raises(ConfigError, match="cannot change while the engine runs"):
        app.prepare(read(text("kv", "store_method: in_memory")))


@pytest.mark.parametrize("kind", ["redis", "nats"])
async def test_an_engine_does_not_start_without_its_server(kind: str) -> None:
    url = f"{kind}://me:s3cret@127.0.0.1:{free_port()}"
    app = App(read(text(kind, f"{kind}_url: '{url}'")))
    with pytest.raises(StartError) as refused:
        await app.start()
    assert "failed to initialize worker 'iii-state'" in str(refused.value)
    assert f"{kind}://me:***@127.0.0.1" in str(refused.value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("kind", ["redis", "nats"])
@pytest.mark.parametrize("module", ["iii-state", "iii-kv", "iii-stream", "iii-pubsub", "iii-cron"])
def test_a_missing_package_is_said_with_the_extra_that_brings_it(
    kind: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda package: None)
    config = f"workers: [{{name: {module}, config: {{adapter: {{name: {kind}}}}}}}]"
    with pytest.raises(ConfigError, match=rf"pip install 'agentos\[{kind}\]'"):
        App(read(config))


def test_an_unknown_option_of_an_adapter_is_named() -> None:
    with pytest.raises(ConfigError, match=r"config.adapter.config: .*`redis_urll`"):
        App(read(text("redis", "redis_urll: x")))
