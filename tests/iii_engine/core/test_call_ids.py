"""Ids of calls: those of callers, and the engine's own, which a worker may have used already."""

from __future__ import annotations

from tests.support.bus import Bus

from iii_engine.core.router import Call


def ids_to_come(bus: Bus, count: int = 20) -> list[str]:
    """The ids that the engine is about to give, as if a worker had guessed them."""
    bus.engine.ids.uuid()
    pool: list[str] = bus.engine.ids.__dict__["_uuids"]
    assert len(pool) > count
    return pool[: -count - 1 : -1]


def test_a_caller_that_uses_the_engines_next_ids_gets_its_own_answers_and_no_others() -> None:
    bus = Bus()
    worker, caller = bus.peer("f"), bus.peer()
    for number, call in enumerate(ids_to_come(bus)):
        caller.ask("f", {"from": "caller", "number": number}, call)
    answers = bus.call("f", {"from": "engine"})
    caller.ask("f", {"from": "caller"}, "no uuid")
    asked = worker.inbox()
    assert len({invocation["invocation_id"] for invocation in asked}) == len(asked) == 22
    for invocation in asked:
        worker.answer(invocation, result=invocation["data"]["from"])
    assert answers == [("engine", None)]
    assert {m["result"] for m in caller.inbox()} == {"caller"}
    assert not bus.engine.router.pending
    assert worker.session.active == 0


def test_a_call_that_waits_for_something_else_than_a_worker_keeps_its_id_to_itself() -> None:
    bus = Bus()
    waiting: list[Call] = []
    bus.engine.enqueue = lambda call, action: waiting.append(call)
    worker, caller, other = bus.peer("f"), bus.peer(), bus.peer()
    for number, call in enumerate(ids_to_come(bus)):
        caller.ask("f", number, call)
    other.ask("f", action={"type": "enqueue", "queue": "q"})
    waiting[0].reply(b'"queued"')
    assert other.only()["result"] == "queued"
    for invocation in worker.inbox():
        worker.answer(invocation, result=invocation["data"])
    assert sorted(m["result"] for m in caller.inbox()) == list(range(20))
    assert not bus.engine.router.pending
