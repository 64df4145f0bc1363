"""Case numbers are those of the engine-modules spec unless the name says `wire`."""

from __future__ import annotations

from typing import Any

import pytest
from tests.iii_engine.modules.engine_functions.conftest import METADATA
from tests.support.engine import RunningEngine
from tests.support.raw_worker import CallFailed, RawWorker


async def rows(worker: RawWorker, **query: Any) -> list[dict[str, Any]]:
    answer = await worker.call("engine::workers::list", query)
    assert answer["timestamp"] > 1_600_000_000_000
    found: list[dict[str, Any]] = answer["workers"]
    return found


async def test_modules_case_25_modules_are_workers_of_the_engine(worker: RawWorker) -> None:
    listed = await rows(worker)
    names = [row["name"] for row in listed]
    assert names == sorted(names)
    state = next(row for row in listed if row["name"] == "iii-state")
    assert state["runtime"] == "engine"
    assert state["isolation"] == "in-process"
    assert state["status"] == "available"
    assert state["internal"] is False
    assert "state::get" in state["functions"]
    assert state["function_count"] == len(state["functions"])
    internal = {row["name"] for row in listed if row["internal"]}
    assert internal == {"iii-worker-manager", "iii-engine-functions", "iii-observability"}


async def test_wire_case_16_metadata_shows_in_the_list(named: RawWorker) -> None:
    await named.register("b")
    await named.register("a")
    (row,) = await rows(named, worker_id=named.id)
    assert row.pop("connected_at_ms") > 1_600_000_000_000
    assert row == {
        "id": named.id,
        **METADATA,
        "ip_address": "127.0.0.1",
        "internal": False,
        "status": "connected",
        "function_count": 2,
        "functions": ["a", "b"],
        "active_invocations": 0,
        "latest_metrics": None,
        "description": None,
        "namespace": "default",
    }
    assert named.id in [row["id"] for row in await rows(named)]


async def test_wire_case_17_without_metadata_it_is_hidden(worker: RawWorker) -> None:
    assert worker.id not in [row["id"] for row in await rows(worker)]
    (row,) = await rows(worker, worker_id=worker.id)
    assert (row["name"], row["runtime"]) == (worker.id, "unknown")


async def test_wire_case_18_a_forged_caller_changes_only_itself(
    worker: RawWorker, named: RawWorker
) -> None:
    await worker.call(
        "engine::workers::register", {"name": "forged", "pid": 1, "_caller_worker_id": named.id}
    )
    assert (await rows(worker, worker_id=worker.id))[0]["name"] == "forged"
    assert (await rows(worker, worker_id=named.id))[0]["name"] == "embedding"


async def test_what_is_left_out_is_kept_but_for_version(named: RawWorker) -> None:
    await named.call("engine::workers::register", {"runtime": None})
    (row,) = await rows(named, worker_id=named.id)
    kept = {key: row[key] for key in ("name", "os", "pid", "isolation")}
    assert kept == {key: METADATA[key] for key in kept}
    assert (row["runtime"], row["version"]) == ("unknown", None)


async def test_filters(named: RawWorker) -> None:
    assert [row["id"] for row in await rows(named, search="EMBED")] == [named.id]
    assert [row["id"] for row in await rows(named, runtime="node")] == [named.id]
    assert await rows(named, status="disconnected") == []
    assert [row["id"] for row in await rows(named, worker_id="iii-state")] == ["iii-state"]
    assert await rows(named, worker_id="nobody") == []


async def test_a_worker_that_works_is_busy(worker: RawWorker, named: RawWorker) -> None:
    await named.register("slow")
    await worker.send("invokefunction", function_id="slow", invocation_id="1", data={})
    invocation = await named.invoked("slow")
    (row,) = await rows(worker, worker_id=named.id)
    assert (row["status"], row["active_invocations"]) == ("busy", 1)
    await named.answer(invocation)


async def test_python_clients_get_small_messages_until_they_say_more(
    engine: RunningEngine, named: RawWorker
) -> None:
    session = engine.core.sessions[named.id]
    large = session.max_message
    await named.call("engine::workers::register", {"runtime": "python"})
    assert session.max_message == 1024 * 1024
    await named.call(
        "engine::workers::register", {"runtime": "python", "features": ["large-messages.v1"]}
    )
    assert session.max_message == large


async def test_info(named: RawWorker) -> None:
    await named.register("f", description="does")
    await named.send("registertriggertype", id="webhook", description="A hook")
    trigger = await named.register_trigger("state", "f", {"scope": "s"})
    for query in ({"name": "embedding"}, {"worker_id": named.id}):
        info = await named.call("engine::workers::info", query)
        assert info["worker"]["id"] == named.id
        assert [f["function_id"] for f in info["functions"]] == ["f"]
        assert [t["id"] for t in info["trigger_types"]] == ["webhook"]
        assert [t["id"] for t in info["registered_triggers"]] == [trigger]


async def test_info_of_a_module(worker: RawWorker) -> None:
    info = await worker.call("engine::workers::info", {"name": "iii-state"})
    assert [t["id"] for t in info["trigger_types"]] == ["state"]


@pytest.mark.parametrize(
    ("query", "code"), [({}, "INVALID_ARGUMENTS"), ({"name": "nobody"}, "NOT_FOUND")]
)
async def test_info_refuses(worker: RawWorker, query: dict[str, Any], code: str) -> None:
    with pytest.raises(CallFailed) as caught:
        await worker.call("engine::workers::info", query)
    assert caught.value.code == code
