"""What holds for every module of the catalogue: hot reload, health, and the end.

The tables name each option of each module; a module or an option that is missing here is a failure.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker
from tests.support.servers import free_port
from tests.support.waiting import until

from iii_engine.app import App
from iii_engine.config.entries import parse
from iii_engine.modules.catalogue import BUILTINS, WORKER_MANAGER

#: Options to start each module with, beside those of `LISTENERS`.
BASE: Final[dict[str, dict[str, Any]]] = {
    "iii-exec": {"exec": ["sleep 99"]},
    "iii-bridge": {},  # with the url of another engine
}
LISTENERS: Final = (WORKER_MANAGER, "iii-http", "iii-stream")

#: Needs a server of its own, and is tested with it.
ELSEWHERE: Final = {"iii-cluster"}

#: Another port: a free one.
ANOTHER_PORT: Final = object()

KV: Final = {"name": "kv", "config": {"save_interval_ms": 7}}

#: What each option can change to while the engine runs.
CHANGES: Final[dict[str, dict[str, Any]]] = {
    WORKER_MANAGER: {
        "port": ANOTHER_PORT,
        "host": "localhost",
        "handshake_timeout_ms": 9000,
        "worker_silence_ms": 500_000,
        "invocation_timeout_ms": 60_000,
        "max_message_bytes": 1_000_000,
        "compression": True,
        "allowed_origins": ["https://a.example"],
        "middleware_function_id": "guard",
        "rbac": {"expose_functions": ["match('*')"]},
    },
    "iii-engine-functions": {},
    "iii-observability": {
        "enabled": False,
        "service_name": "other",
        "service_version": "2",
        "service_namespace": "ns",
        "exporter": "memory",
        "endpoint": "http://127.0.0.1:4318",
        "otlp_headers": {"x-tenant": "t"},
        "otlp_protocol": "http/json",
        "sampling_ratio": 0.5,
        "sampling": {"default": 0.5},
        "memory_max_spans": 77,
        "metrics_enabled": False,
        "metrics_exporter": "memory",
        "metrics_retention_seconds": 60,
        "metrics_max_count": 77,
        "prometheus_path": "/numbers",
        "logs_enabled": False,
        "logs_exporter": "memory",
        "logs_max_count": 77,
        "logs_retention_seconds": 60,
        "logs_batch_size": 7,
        "logs_flush_interval_ms": 70,
        "logs_sampling_ratio": 0.5,
        "logs_console_output": False,
        "alerts": [{"name": "a", "metric": "iii.invocations.error", "threshold": 1}],
        "level": "warn",
        "log_level": "warn",
        "format": "json",
    },
    "iii-http": {
        "port": ANOTHER_PORT,
        "host": "localhost",
        "default_timeout": 1000,
        "concurrency_request_limit": 7,
        "cors": {"allowed_origins": ["https://a.example"]},
        "middleware": [{"function_id": "before"}],
        "body_limit": 1000,
        "trust_proxy": True,
        "request_id_header": "x-my-id",
        "ignore_trailing_slash": True,
        "not_found_function": "nobody",
        "openapi": True,
    },
    "iii-state": {"adapter": KV},
    "iii-stream": {
        "port": ANOTHER_PORT,
        "host": "localhost",
        "auth_function": "who",
        "require_join": True,
        "allowed_origins": ["https://a.example"],
        "adapter": KV,
    },
    "iii-queue": {
        "adapter": {"name": "builtin", "config": {"max_attempts": 7}},
        "queue_configs": {"q": {"concurrency": 2}},
    },
    "iii-pubsub": {"adapter": {"name": "local"}},
    "iii-cron": {"adapter": {"name": "kv", "config": {"lock_ttl_ms": 777}}},
    "iii-kv": {
        "store_method": "in_memory",
        "file_path": "elsewhere",
        "save_interval_ms": 7,
        "adapter": KV,
    },
    "iii-exec": {"exec": ["sleep 98"], "watch": ["*.none"], "restart": "always"},
    "iii-bridge": {
        "url": "ws://127.0.0.1:1",
        "service_id": "svc",
        "service_name": "Service",
        "expose": [{"local_function": "held"}],
        "forward": [{"local_function": "r", "remote_function": "state::get"}],
    },
    "iii-http-functions": {"security": {"require_https": False}},
}

#: Connections of workers end with these, for good reason: who comes back is judged anew.
ENDS_CONNECTIONS: Final = {
    (WORKER_MANAGER, "port"),
    (WORKER_MANAGER, "host"),
    (WORKER_MANAGER, "rbac"),
    (WORKER_MANAGER, "middleware_function_id"),
}

#: Modules that may start again with these: what others hold, triggers above all, outlives that.
STARTS_AGAIN: Final = {("iii-observability", "enabled"), ("iii-cron", "adapter")}


class Everything:
    """An engine with every module, and what its config says."""

    def __init__(self, remote: str) -> None:
        self.options: dict[str, dict[str, Any]] = {
            name: dict(BASE.get(name, {})) for name in CHANGES
        }
        for name in LISTENERS:
            self.options[name] |= {"host": "127.0.0.1", "port": 0}
        self.options["iii-bridge"]["url"] = remote
        self.app = App(self._config())

    def _config(self) -> Any:
        entries = [{"name": name, "config": options} for name, options in self.options.items()]
        return parse(json.dumps({"workers": entries}), Path("config.yaml"), {})

    @property
    def url(self) -> str:
        return "ws://{}:{}".format(*self.app.address)

    async def start(self) -> None:
        await self.app.start()
        for name in LISTENERS:
            address = self.app.modules[name].address
            assert address is not None
            self.options[name]["port"] = address[1]
        await self.app.apply(self.app.prepare(self._config()))

    async def change(self, module: str, option: str, value: Any) -> list[str]:
        self.options[module][option] = value
        return await self.app.apply(self.app.prepare(self._config()))


@pytest.fixture
async def everything(engine: RunningEngine) -> AsyncIterator[Everything]:
    made = Everything(engine.url)
    await made.start()
    yield made
    if made.app.modules:
        await made.app.stop(grace=0)


def test_the_tables_have_every_module_and_every_option() -> None:
    available = {builtin.name: builtin for builtin in BUILTINS if builtin.available}
    assert set(CHANGES) == set(available) - ELSEWHERE
    for name, changes in CHANGES.items():
        options = available[name].load().Options
        assert set(changes) == {field.encode_name for field in msgspec.structs.fields(options)}


@pytest.mark.promise(
    "Configuration",
    "Every option but the place of the store applies while the engine runs; connections and calls "
    "end only where another address, other access rules or, of streams, another place of the items "
    "end them, after what is under way.",
)
@pytest.mark.parametrize(
    ("module", "option"), [(module, option) for module in CHANGES for option in CHANGES[module]]
)
async def test_an_option_changes_while_a_call_is_under_way(
    everything: Everything, module: str, option: str
) -> None:
    value = CHANGES[module][option]
    if value is ANOTHER_PORT:
        value = free_port()
    before = everything.app.modules[module]
    async with RawWorker(everything.url) as caller, RawWorker(everything.url) as callee:
        await callee.register("held")
        waiting = asyncio.create_task(caller.call("held", 1))
        held = await callee.invoked("held")
        assert await everything.change(module, option, value) == []
        now = everything.app.modules[module]
        assert now is before or (module, option) in STARTS_AGAIN
        assert getattr(now.options, option) == getattr(
            msgspec.convert(everything.options[module], now.Options), option
        )
        await callee.answer(held, 2)
        assert await waiting == 2
        if (module, option) in ENDS_CONNECTIONS:
            assert await caller.close_code() == await callee.close_code() == 1012
        else:
            await callee.settle()
    async with RawWorker(everything.url) as again:
        assert (await again.call("engine::health::check"))["components"]["config"]


async def test_the_health_check_names_every_module(everything: Everything) -> None:
    async with RawWorker(everything.url) as worker:

        async def modules() -> Any:
            return (await worker.call("engine::health::check"))["components"]["modules"]

        async def well() -> bool:
            return bool((await modules())["status"] == "healthy")

        await until(well)
        assert (await modules())["details"] == dict.fromkeys(CHANGES, "running")


async def test_all_modules_stop_in_order_and_leave_nothing(everything: Everything) -> None:
    app = everything.app
    order: list[tuple[str, float]] = []
    for name, module in app.modules.items():

        async def stop(name: str = name, stop: Any = module.stop) -> None:
            began = time.monotonic()
            await stop()
            order.append((name, time.monotonic() - began))

        module.stop = stop  # type: ignore[method-assign]
    others = asyncio.all_tasks()
    await app.stop()
    assert [name for name, _ in order[:2]] == ["iii-exec", WORKER_MANAGER]
    assert {name for name, _ in order} == set(CHANGES)
    assert [name for name, seconds in order if seconds > 2.5] == []
    assert list(app.engine.registry) == []
    assert [kind.id for kind in app.engine.triggers.types()] == []
    assert not app.host.types
    assert not app.engine.sessions
    assert asyncio.all_tasks() <= others
