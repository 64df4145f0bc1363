"""`engine::transact`: changes of several modules, all of them or none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.iii_engine.modules.engine_functions.test_access import admit  # noqa: F401
from tests.support.engine import RunningEngine
from tests.support.raw_worker import CallFailed, RawWorker
from tests.support.stream_client import StreamClient

from iii_engine.core.grants import Grant

ITEM = {"stream_name": "chat", "group_id": "room", "item_id": "1"}


def change(function_id: str, **data: Any) -> dict[str, Any]:
    return {"function_id": function_id, "data": data}


async def transact(worker: RawWorker, *changes: dict[str, Any]) -> Any:
    return await worker.call("engine::transact", {"changes": list(changes)})


@pytest.mark.promise("Data", "Changes of several modules in one transaction happen together.")
async def test_changes_of_several_modules_happen_together(
    engine: RunningEngine, worker: RawWorker
) -> None:
    await worker.register("seen")
    await worker.register_trigger("state", "seen", {"scope": "s"})
    async with StreamClient(engine.stream_url) as client:
        await client.join("chat", "room")
        answer = await transact(
            worker,
            change("state::set", scope="s", key="a", value=1),
            change("stream::set", **ITEM, data={"text": "hello"}),
            change(
                "state::update",
                scope="s",
                key="a",
                ops=[{"type": "increment", "path": "", "by": 2}],
            ),
        )
        assert answer == {
            "applied": True,
            "results": [
                {"old_value": None, "new_value": 1},
                {"old_value": None, "new_value": {"text": "hello"}},
                {"old_value": 1, "new_value": 3},
            ],
        }
        told = await client.next()
        assert told["event"] == {"type": "create", "data": {"text": "hello"}}
    for expected in ("state:created", "state:updated"):
        heard = await worker.receive("invokefunction")
        assert heard["data"]["event_type"] == expected
        await worker.answer(heard)
    assert await worker.call("state::get", {"scope": "s", "key": "a"}) == 3


async def test_a_condition_that_does_not_hold_undoes_what_was_before_it(worker: RawWorker) -> None:
    await worker.call("state::set", {"scope": "s", "key": "there", "value": 1})
    answer = await transact(
        worker,
        change("stream::set", **ITEM, data=1),
        change("state::set", scope="s", key="there", value=2, if_absent=True),
    )
    assert answer == {"applied": False, "results": [], "failed_index": 1}
    assert await worker.call("stream::get", ITEM) is None


@pytest.mark.promise("Data", "A change that fails undoes those before it in its transaction.")
async def test_an_error_undoes_everything_and_names_the_change(worker: RawWorker) -> None:
    first = change("state::set", scope="s", key="a", value=1)
    for wrong, code, message in (
        (change("state::set", scope="s"), "deserialization_error", r"changes\[1\].*key"),
        (change("state::get", scope="s", key="a"), "not_transactable", r"changes\[1\].*state::get"),
        (change("nope"), "not_transactable", r"changes\[1\]"),
        (change("state::update", scope="s", key="a"), "deserialization_error", "ops"),
    ):
        with pytest.raises(CallFailed, match=message) as caught:
            await transact(worker, first, wrong)
        assert caught.value.code == code
    with pytest.raises(CallFailed, match=r"\$\.changes"):
        await transact(worker)
    assert await worker.call("state::get", {"scope": "s", "key": "a"}) is None


async def test_a_stream_that_a_worker_keeps_takes_no_part(worker: RawWorker) -> None:
    await worker.register("stream::set(chat)")
    with pytest.raises(CallFailed, match="kept by a worker") as caught:
        await transact(worker, change("stream::set", **ITEM, data=1))
    assert caught.value.code == "not_transactable"


async def test_a_guarded_worker_changes_only_what_it_may(
    admit: Callable[[Grant], Awaitable[RawWorker]],  # noqa: F811
    worker: RawWorker,
) -> None:
    guest = await admit(Grant(allowed_functions=frozenset({"state::set"})))
    allowed = change("state::set", scope="s", key="a", value=1)
    assert (await transact(guest, allowed))["applied"]
    with pytest.raises(CallFailed, match=r"changes\[1\].*state::delete") as caught:
        await transact(guest, allowed, change("state::delete", scope="s", key="a"))
    assert caught.value.code == "FORBIDDEN"
    assert await worker.call("state::get", {"scope": "s", "key": "a"}) == 1


async def test_a_job_is_stored_with_the_change_it_is_about(worker: RawWorker) -> None:
    await worker.register("orders::ship")
    enqueue = {
        "function_id": "orders::ship",
        "data": {"order": 7},
        "action": {"type": "enqueue", "queue": "default"},
    }
    set_there = change("state::set", scope="orders", key="7", value="paid", if_absent=True)
    answer = await transact(worker, set_there, enqueue)
    assert answer["results"][1].keys() == {"messageReceiptId"}
    job = await worker.receive("invokefunction")
    assert (job["function_id"], job["data"]) == ("orders::ship", {"order": 7})
    await worker.answer(job)
    again = await transact(worker, enqueue, set_there)
    assert again == {"applied": False, "results": [], "failed_index": 1}
    stats = await worker.call("engine::queue::topic_stats", {"topic": "default"})
    assert stats["depth"] == 0
    with pytest.raises(CallFailed, match=r"changes\[0\].*'none' not found"):
        await transact(worker, {**enqueue, "action": {"type": "enqueue", "queue": "none"}})


async def test_a_message_is_published_with_the_change_it_is_about(worker: RawWorker) -> None:
    await worker.register("heard")
    await worker.register_trigger("durable:subscriber", "heard", {"topic": "orders"})
    answer = await transact(
        worker,
        change("state::set", scope="orders", key="7", value="paid"),
        change("iii::durable::publish", topic="orders", data={"order": 7}, return_receipt=True),
    )
    assert "message_id" in answer["results"][1]
    job = await worker.receive("invokefunction")
    assert job["data"] == {"order": 7}
    await worker.answer(job)
