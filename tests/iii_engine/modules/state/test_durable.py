"""State on the durable store: conformance cases 16 and 71 with a disk below."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from iii_engine.core.clock import SeededIds, VirtualClock
from iii_engine.core.engine import Engine
from iii_engine.core.router import Call
from iii_engine.core.triggers import Trigger
from iii_engine.modules.base import Host
from iii_engine.modules.state import StateModule
from iii_engine.modules.state.options import StateOptions
from iii_engine.storage.embedded import EmbeddedStore
from iii_sdk.protocol import NULL, ErrorBody


class House:
    """An engine with durable state, started in a directory."""

    def __init__(self, directory: Path) -> None:
        self.engine = Engine(VirtualClock(), SeededIds(1))
        self.store = EmbeddedStore(directory / "store.db")

    async def start(self) -> None:
        await self.store.open()
        host = Host(self.engine, self.store, asyncio.get_running_loop())
        self.module = StateModule("iii-state", StateOptions(), host)
        await self.module.start()

    async def stop(self) -> None:
        await self.module.stop()
        await self.store.close()

    def ask(self, function_id: str, data: object) -> asyncio.Future[Any]:
        answer = asyncio.get_running_loop().create_future()

        def on_answer(result: Raw, error: ErrorBody | None) -> None:
            assert error is None, error
            answer.set_result(json.loads(bytes(result)))

        self.engine.call(function_id, json.dumps(data).encode(), on_answer)
        return answer


async def test_modules_case_16_state_survives_a_restart(tmp_path: Path) -> None:
    record = {"scope": "s", "key": "k"}
    house = House(tmp_path)
    await house.start()
    await house.ask("state::set", record | {"value": [1, {"a": None}]})
    assert await house.ask("state::get", record) == [1, {"a": None}]
    await house.stop()
    house = House(tmp_path)
    await house.start()
    assert await house.ask("state::get", record) == [1, {"a": None}]
    assert await house.ask("state::list_groups", {}) == {"groups": ["s"]}
    await house.stop()


@pytest.mark.promise("Data", "Concurrent changes of one record all count.")
async def test_modules_case_71_a_hundred_increments_at_once(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.start()
    seen: list[int] = []

    def handle(call: Call) -> None:
        seen.append(json.loads(bytes(call.data))["new_value"]["n"])
        call.reply()

    house.engine.add_function("seen", handle, module="test")
    house.engine.triggers.add(Trigger("t", "state", "seen", NULL, NULL, None))
    update = {
        "scope": "s",
        "key": "k",
        "ops": [{"type": "increment", "path": "n", "by": 1}],
    }
    answers = await asyncio.gather(*(house.ask("state::update", update) for _ in range(100)))
    assert [answer["new_value"]["n"] for answer in answers] == list(range(1, 101))
    assert seen == list(range(1, 101))
    await house.stop()


async def test_a_refused_transaction_leaves_its_neighbours_alone(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.start()
    first = house.ask("state::set", {"scope": "s", "key": "a", "value": 1})
    refused = house.ask(
        "state::transact",
        {
            "ops": [
                {"op": "delete", "scope": "s", "key": "a"},
                {"op": "set", "scope": "s", "key": "b", "value": 2, "expect": {"x": 1}},
            ]
        },
    )
    last = house.ask("state::set", {"scope": "s", "key": "c", "value": 3})
    await first
    assert (await refused)["applied"] is False
    await last
    assert await house.ask("state::list", {"scope": "s"}) == [1, 3]
    await house.stop()
