"""Options of `iii-state`: which adapter, and what it accepts."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest

from iii_engine.core.clock import SeededIds, VirtualClock
from iii_engine.core.engine import Engine
from iii_engine.modules.base import Host
from iii_engine.modules.state import StateModule
from iii_engine.modules.state.options import StateOptions
from iii_engine.storage.memory import MemoryStore
from iii_sdk.errors import BusError


async def start(adapter: dict[str, Any]) -> StateModule:
    options = msgspec.convert({"adapter": adapter}, StateOptions)
    engine = Engine(VirtualClock(), SeededIds(1))
    module = StateModule(
        "iii-state", options, Host(engine, MemoryStore(), asyncio.get_running_loop())
    )
    await module.start()
    return module


@pytest.mark.parametrize(
    "adapter",
    [
        {},
        {"name": "kv"},
        {"name": "kv", "config": {"store_method": "in_memory"}},
        {
            "class": "modules::state::adapters::KvStore",
            "config": {"store_method": "file_based", "file_path": "./d", "save_interval_ms": 5},
        },
        {"class": "workers::state::adapters::KvStore"},
    ],
)
async def test_names_of_the_kv_adapter(adapter: dict[str, Any]) -> None:
    module = await start(adapter)
    assert "state::get" in module.engine.registry


async def test_an_unknown_adapter_is_named_with_those_there_are() -> None:
    with pytest.raises(BusError) as caught:
        await start({"name": "etcd", "config": {"anything": 1}})
    assert (
        caught.value.message
        == 'Adapter factory \'etcd\' not found. Available: ["kv", "redis", "nats", "bridge"]'
    )


@pytest.mark.parametrize(
    ("config", "words"),
    [({"file_pth": "x"}, "file_pth"), ({"save_interval_ms": "soon"}, "$.save_interval_ms")],
)
async def test_a_wrong_config_is_named(config: dict[str, object], words: str) -> None:
    with pytest.raises(BusError) as caught:
        await start({"config": config})
    assert words in caught.value.message


async def test_an_unknown_store_method_is_memory_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "iii.modules"):
        await start({"config": {"store_method": "cloud"}})
    assert "unknown store_method 'cloud'" in caplog.text
