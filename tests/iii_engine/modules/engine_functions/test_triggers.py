from __future__ import annotations

from typing import Any

import pytest
from tests.support.raw_worker import CallFailed, RawWorker

CONFIG = {"scope": "s"}


@pytest.fixture
async def trigger(named: RawWorker) -> str:
    """The id of a state trigger of `embedding` on function `f`."""
    await named.register("f")
    return await named.register_trigger("state", "f", CONFIG, metadata={"m": 1})


async def test_triggers_list_for_the_0_11_generation(named: RawWorker, trigger: str) -> None:
    assert await named.call("engine::triggers::list", {}) == {
        "triggers": [
            {
                "id": trigger,
                "trigger_type": "state",
                "function_id": "f",
                "config": CONFIG,
                "metadata": {"m": 1},
            }
        ]
    }


async def test_triggers_of_the_engine_are_hidden(named: RawWorker) -> None:
    id = await named.register_trigger("state", "engine::log::info", CONFIG)
    assert (await named.call("engine::triggers::list", {}))["triggers"] == []
    answer = await named.call("engine::triggers::list", {"include_internal": True})
    assert answer["triggers"] == [
        {"id": id, "trigger_type": "state", "function_id": "engine::log::info", "config": CONFIG}
    ]


@pytest.mark.parametrize(
    ("metadata", "types"),
    [
        ({"version": "0.11.6"}, False),
        ({"version": "0.13.0"}, True),
        ({"version": "1.0"}, True),
        ({"version": "next"}, False),
        ({"version": "0.25.0", "dialect": "0.11"}, False),
        ({"features": ["observe.v1"]}, True),
        ({}, False),
    ],
)
async def test_newer_clients_mean_the_types(
    worker: RawWorker, trigger: str, metadata: dict[str, Any], types: bool
) -> None:
    await worker.call("engine::workers::register", metadata)
    rows = (await worker.call("engine::triggers::list", {}))["triggers"]
    assert (trigger in [row["id"] for row in rows]) is not types
    assert ("state" in [row["id"] for row in rows]) is types


async def test_the_view_decides_when_it_is_given(named: RawWorker, trigger: str) -> None:
    rows = (await named.call("engine::triggers::list", {"view": "types"}))["triggers"]
    state = next(row for row in rows if row["id"] == "state")
    assert state["worker_name"] == "iii-state"
    assert state["namespace"] == "default"
    assert not [row for row in rows if row["id"].startswith("engine::")]


async def test_trigger_types_with_their_schemas(named: RawWorker) -> None:
    await named.send("registertriggertype", id="webhook", description="A hook")
    answer = await named.call("engine::trigger-types::list", {"include_internal": True})
    types = {row["id"]: row for row in answer["trigger_types"]}
    assert types["webhook"] == {"id": "webhook", "description": "A hook"}
    for id in ("engine::functions-available", "engine::workers-available"):
        assert types[id]["trigger_request_format"]
        assert types[id]["call_request_format"]
    plain = await named.call("engine::trigger-types::list", {})
    assert not [r for r in plain["trigger_types"] if r["id"].startswith("engine::")]


async def test_info_of_a_type(named: RawWorker, trigger: str) -> None:
    info = await named.call("engine::triggers::info", {"id": "state"})
    assert info["worker_name"] == "iii-state"
    assert info["instance_count"] == 1
    assert info["configuration_schema"]
    with pytest.raises(CallFailed) as caught:
        await named.call("engine::triggers::info", {"id": "nope"})
    assert caught.value.code == "NOT_FOUND"


async def test_registered_triggers(named: RawWorker, trigger: str) -> None:
    row = {
        "id": trigger,
        "trigger_type": "state",
        "function_id": "f",
        "worker_name": "embedding",
        "config": CONFIG,
        "config_summary": '{"scope": "s"}',
    }
    for query in (
        {},
        {"search": "STATE"},
        {"trigger_type": "state"},
        {"function_id": "f"},
        {"worker": "embedding"},
        {"worker": named.id},
    ):
        answer = await named.call("engine::registered-triggers::list", query)
        assert answer == {"registered_triggers": [row]}
    for query in ({"search": "zzz"}, {"trigger_type": "x"}, {"function_id": "x"}, {"worker": "x"}):
        answer = await named.call("engine::registered-triggers::list", query)
        assert answer == {"registered_triggers": []}


async def test_info_of_a_registered_trigger(named: RawWorker, trigger: str) -> None:
    info = await named.call("engine::registered-triggers::info", {"id": trigger})
    assert info["metadata"] == {"m": 1}
    assert info["trigger"]["id"] == "state"
    assert info["function"]["function_id"] == "f"
    with pytest.raises(CallFailed) as caught:
        await named.call("engine::registered-triggers::info", {"id": "nope"})
    assert caught.value.code == "NOT_FOUND"


async def test_a_pending_trigger_of_a_missing_function(named: RawWorker) -> None:
    id = await named.register_trigger("later", "gone", {"text": "x" * 200})
    info = await named.call("engine::registered-triggers::info", {"id": id})
    assert "trigger" not in info
    assert "function" not in info
    assert len(info["config_summary"]) == 120
    assert info["config_summary"].endswith("…")
