"""The middleware of a listener (wire protocol 10.4)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw
from tests.support.bus import Bus, Peer

from iii_engine.core import sessions
from iii_engine.core.access import Rules
from iii_engine.core.grants import OPEN, Grant

TRUSTED = Rules(guarded=False, middleware="m::w")
GRANT = Grant(context={"user_id": Raw(b'"u1"')})


class House:
    def __init__(self) -> None:
        self.bus = Bus()
        self.middleware = self.bus.peer("m::w")
        self.worker = self.bus.peer("f::g")

    def caller(self, grant: Grant = GRANT) -> Peer:
        return self.bus.guarded(TRUSTED, grant)


@pytest.fixture
def house() -> House:
    return House()


def test_wire_case_72_calls_are_answered_by_the_middleware(house: House) -> None:
    caller = house.caller()
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    call = caller.ask(
        "f::g", {"x": 1, "_caller_worker_id": "forged"}, traceparent=trace, baggage="k=v"
    )
    question = house.middleware.only()
    assert question["data"] == {
        "function_id": "f::g",
        "payload": {"x": 1},
        "action": None,
        "context": {"user_id": "u1"},
    }
    assert question["traceparent"].split("-")[1] == "a" * 32
    assert question["baggage"] == "k=v"
    house.middleware.answer(question, result={"done": True})
    assert caller.only() == {
        "type": "invocationresult",
        "invocation_id": call,
        "function_id": "f::g",
        "traceparent": trace,
        "baggage": "k=v",
        "result": {"done": True},
    }
    assert house.worker.inbox() == []


def test_its_errors_are_the_callers(house: House) -> None:
    caller = house.caller()
    caller.ask("f::g")
    error = {"code": "mine", "message": "no"}
    house.middleware.answer(house.middleware.only(), error=error)
    assert caller.only()["error"] == error


@pytest.mark.parametrize("function_id", ["missing", "f::g"])
def test_void_calls_are_intercepted_and_not_answered(house: House, function_id: str) -> None:
    caller = house.caller()
    caller.tell("invokefunction", function_id=function_id, data=1, action={"type": "void"})
    question = house.middleware.only()
    assert question["data"]["action"] == {"type": "void"}
    house.middleware.answer(question, result=1)
    assert caller.inbox() == []


def test_enqueueing_is_intercepted_and_its_result_is_the_answer(house: House) -> None:
    caller = house.caller()
    caller.ask("f::g", 1, action={"type": "enqueue", "queue": "q"})
    question = house.middleware.only()
    assert question["data"]["action"] == {"type": "enqueue", "queue": "q"}
    house.middleware.answer(question, result="receipt")
    assert caller.only()["result"] == "receipt"


def test_without_a_provider_calls_fail(house: House) -> None:
    caller = house.caller()
    house.middleware.close()
    caller.ask("f::g")
    assert caller.only()["error"]["code"] == "function_not_found"
    assert house.worker.inbox() == []


def test_wire_case_76_the_engines_own_functions_are_not_intercepted(house: House) -> None:
    caller = house.caller()
    caller.ask("engine::baggage::get_all")
    assert caller.only()["error"]["message"] == "Function engine::baggage::get_all not found"
    assert house.middleware.inbox() == []


def test_the_provider_of_the_middleware_reaches_the_real_functions(house: House) -> None:
    house.middleware.close()
    provider, other = house.caller(OPEN), house.caller()
    provider.offer("m::w")
    other.ask("f::g", {"x": 1})
    question = provider.only()
    inner = provider.ask(question["data"]["function_id"], question["data"]["payload"])
    asked = house.worker.only()
    assert asked["data"] == {"x": 1, "_caller_worker_id": provider.id}
    house.worker.answer(asked, result=2)
    (answer,) = provider.inbox()
    assert (answer["invocation_id"], answer["result"]) == (inner, 2)
    provider.answer(question, result=answer["result"])
    assert other.only()["result"] == 2


def test_only_who_is_the_middleware_now_reaches_them(house: House) -> None:
    house.middleware.close()
    former, newest = house.caller(OPEN), house.caller(OPEN)
    former.offer("m::w")
    newest.offer("m::w")
    former.ask("f::g")
    assert newest.only()["data"]["function_id"] == "f::g"
    newest.ask("f::g")
    assert house.worker.only()["function_id"] == "f::g"


def test_instances_of_the_middleware_all_reach_them(house: House) -> None:
    house.middleware.close()
    instances = [house.caller(OPEN), house.caller(OPEN)]
    for pid, peer in enumerate(instances):
        peer.describe(name="middleware", pid=pid)
        peer.offer("m::w")
    for peer in instances:
        peer.ask("f::g")
    assert len(house.worker.inbox()) == 2


def test_a_caller_that_leaves_gets_no_answer(house: House) -> None:
    caller = house.caller()
    caller.ask("f::g")
    caller.close()
    house.middleware.answer(house.middleware.only(), result=1)
    assert caller.inbox() == []
    assert house.bus.engine.router.pending == {}


def test_too_many_unanswered_calls_stop_the_reading(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MAX_OUTSTANDING", 2)
    caller = house.caller()
    questions: list[dict[str, Any]] = []
    for expected in (False, True):
        caller.ask("f::g")
        assert caller.session.paused is expected
        questions += house.middleware.inbox()
    for question in questions:
        house.middleware.answer(question)
    assert not caller.session.paused
