"""Case numbers are those of the engine-modules spec unless the name says `wire`."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.raw_worker import CallFailed, RawWorker


async def ids(asking: RawWorker, /, **query: Any) -> list[str]:
    answer = await asking.call("engine::functions::list", query)
    return [row["function_id"] for row in answer["functions"]]


async def test_modules_case_19_an_unknown_function(worker: RawWorker) -> None:
    with pytest.raises(CallFailed) as caught:
        await worker.call("nope", {})
    assert caught.value.code == "function_not_found"
    assert caught.value.message == "Function nope not found"


async def test_modules_case_23_functions_of_the_engine_are_hidden_by_default(
    worker: RawWorker,
) -> None:
    assert not [id for id in await ids(worker) if id.startswith("engine::")]
    assert "state::get" in await ids(worker)
    everything = await ids(worker, include_internal=True)
    assert "engine::workers::list" in everything
    assert everything == sorted(everything)


async def test_wire_case_14_a_row_has_all_its_keys(worker: RawWorker) -> None:
    await worker.register("a::b")
    (row,) = (await worker.call("engine::functions::list", {"prefix": "a::"}))["functions"]
    assert row == {
        "function_id": "a::b",
        "description": None,
        "request_format": None,
        "response_format": None,
        "metadata": None,
        "namespace": "default",
        "worker_name": worker.id,
    }


async def test_a_call_without_payload_is_a_call_with_an_empty_one(worker: RawWorker) -> None:
    assert await worker.call("engine::functions::list") == await worker.call(
        "engine::functions::list", {"include_internal": None, "unknown": 1}
    )


async def test_a_wrong_type_is_named(worker: RawWorker) -> None:
    with pytest.raises(CallFailed, match=r"include_internal") as caught:
        await worker.call("engine::functions::list", {"include_internal": "x"})
    assert caught.value.code == "deserialization_error"
    assert caught.value.message.startswith(
        "Failed to deserialize input for engine::functions::list: "
    )


async def test_search_ranks_and_filters(worker: RawWorker, named: RawWorker) -> None:
    await named.register("math::add", description="Sum of two")
    await named.register("add")
    await named.register("add::all")
    await named.register("math::sum", description="Add many")
    await worker.register("other")
    assert await ids(worker, search="ADD") == ["add", "add::all", "math::add", "math::sum"]
    assert await ids(worker, worker="embedding", prefix="math") == ["math::add", "math::sum"]
    assert await ids(worker, workers=[worker.id]) == ["other"]
    assert "state::set" in await ids(worker, worker="iii-state")


async def test_info_of_one(named: RawWorker) -> None:
    await named.register(
        "f", description="does", request_format={"type": "object"}, metadata={"k": 1}
    )
    trigger = await named.register_trigger("state", "f", {"scope": "s"})
    assert await named.call("engine::functions::info", {"function_id": "f"}) == {
        "function_id": "f",
        "namespace": "default",
        "worker_name": "embedding",
        "registered_triggers": [{"id": trigger, "trigger_type": "state", "config": {"scope": "s"}}],
        "description": "does",
        "request_schema": {"type": "object"},
        "metadata": {"k": 1},
    }


async def test_info_of_several(named: RawWorker) -> None:
    await named.register("f")
    answer = await named.call("engine::functions::info", {"function_ids": ["f", "g"]})
    assert [row["function_id"] for row in answer["functions"]] == ["f", "g"]
    assert answer["functions"][1]["error"] == "Function g not found"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"function_id": "nope"}, "NOT_FOUND"),
        ({}, "INVALID_ARGUMENTS"),
        ({"function_id": "f", "function_ids": []}, "INVALID_ARGUMENTS"),
        ({"function_ids": ["f"] * 33}, "INVALID_ARGUMENTS"),
    ],
)
async def test_info_refuses(worker: RawWorker, query: dict[str, Any], code: str) -> None:
    with pytest.raises(CallFailed) as caught:
        await worker.call("engine::functions::info", query)
    assert caught.value.code == code


async def test_built_in_functions_publish_their_schemas(worker: RawWorker) -> None:
    answer = await worker.call(
        "engine::functions::list", {"prefix": "engine::", "include_internal": True}
    )
    without = [row["function_id"] for row in answer["functions"] if not row["request_format"]]
    assert without == []
    assert all(row["description"] for row in answer["functions"])
