"""Who may connect (wire protocol 1.4, 10.2)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.bus import Bus, Peer, replying

from iii_engine.core import admission
from iii_engine.core.access import Access, Rules
from iii_engine.core.admission import Admission, Arrival, Gate
from iii_engine.core.grants import OPEN
from iii_sdk.protocol import ErrorBody

AUTH = Rules(auth_function_id="auth")


class Visitor:
    """Somebody at the gate, and how it ended."""

    def __init__(self, gate: Gate, ip: str = "10.0.0.1") -> None:
        self.access: Access | None = None
        self.error: ErrorBody | None = None
        arrival = Arrival({"x-token": "t"}, {"q": ["a", "b"]}, ip)
        self.admission: Admission = gate.admit(arrival, self._accept, self._refuse)
        self.admission.start()

    def _accept(self, access: Access) -> None:
        assert not self.ended
        self.access = access

    def _refuse(self, error: ErrorBody) -> None:
        assert not self.ended
        self.error = error

    @property
    def ended(self) -> bool:
        return self.access is not None or self.error is not None


@pytest.fixture
def gate(bus: Bus) -> Gate:
    return Gate(bus.engine, AUTH)


@pytest.fixture
def guard(bus: Bus) -> Peer:
    return bus.peer("auth")


def test_without_auth_function_everybody_has_the_open_grant(bus: Bus) -> None:
    rules = Rules()
    visitor = Visitor(Gate(bus.engine, rules))
    assert visitor.access is not None
    assert (visitor.access.rules, visitor.access.grant) == (rules, OPEN)
    visitor.admission.cancel()


def test_the_auth_function_is_called_once_and_decides(gate: Gate, guard: Peer) -> None:
    visitor = Visitor(gate)
    question = guard.only()
    assert question["data"] == {
        "headers": {"x-token": "t"},
        "query_params": {"q": ["a", "b"]},
        "ip_address": "10.0.0.1",
    }
    assert not visitor.ended
    guard.answer(question, result={"allowed_functions": ["f"]})
    assert visitor.access is not None
    assert visitor.access.may_call("f")
    assert guard.inbox() == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            {"error": {"code": "x", "message": "invalid token", "stacktrace": "deep"}},
            "invalid token",
        ),
        ({"result": None}, "auth function returned no result"),
        ({"result": 7}, "Expected `object`, got `int`"),
    ],
)
def test_failures_become_auth_errors(
    gate: Gate, guard: Peer, answer: dict[str, Any], message: str
) -> None:
    visitor = Visitor(gate)
    guard.answer(guard.only(), **answer)
    assert visitor.error == ErrorBody("AUTH_ERROR", message)


def test_wire_case_80_the_auth_function_may_appear_two_seconds_later(bus: Bus, gate: Gate) -> None:
    visitor = Visitor(gate)
    bus.wait(2)
    guard = bus.peer("auth")
    guard.answer(guard.only(), result={})
    assert visitor.access is not None


def test_after_five_seconds_it_is_missing(bus: Bus, gate: Gate) -> None:
    visitor = Visitor(gate)
    bus.wait(4.9)
    assert not visitor.ended
    bus.wait(0.1)
    assert visitor.error == ErrorBody("AUTH_ERROR", "Function auth not found")


def test_it_has_ten_seconds_to_answer(bus: Bus, gate: Gate, guard: Peer) -> None:
    visitor = Visitor(gate)
    guard.inbox()
    bus.wait(9.9)
    assert not visitor.ended
    bus.wait(0.2)
    assert visitor.error == ErrorBody("AUTH_ERROR", "Function auth did not answer in time")


def refusing(bus: Bus) -> None:
    bus.engine.add_function("auth", replying(None), module="m")


def test_wire_case_79_refusals_of_one_address_come_later_and_later(bus: Bus, gate: Gate) -> None:
    refusing(bus)
    for attempt, seconds in enumerate((0, 1, 2, 4, 8, 10, 10)):
        visitor = Visitor(gate)
        if seconds:
            assert gate.delayed == 1
            bus.wait(seconds - 0.1)
            assert not visitor.ended
            bus.wait(0.1)
        assert visitor.error is not None
        assert Visitor(gate, f"other-{attempt}").error is not None
    assert gate.delayed == 0


def test_a_visitor_that_leaves_is_forgotten(bus: Bus, gate: Gate, guard: Peer) -> None:
    asked = Visitor(gate)
    asked.admission.cancel()
    guard.answer(guard.only(), result={})
    assert not asked.ended
    guard.close()
    waiting = Visitor(gate)
    waiting.admission.cancel()
    bus.wait(6)
    assert not waiting.ended
    refusing(bus)
    Visitor(gate)
    delayed = Visitor(gate)
    delayed.admission.cancel()
    delayed.admission.cancel()
    assert gate.delayed == 0
    bus.wait(20)
    assert not delayed.ended


def test_a_crowd_is_refused_at_once(bus: Bus, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_DELAYED", 2)
    refusing(bus)
    ended = [Visitor(gate).ended for _ in range(4)]
    assert ended == [True, False, False, True]


def test_new_rules_apply_to_later_arrivals(bus: Bus, gate: Gate, guard: Peer) -> None:
    first = Visitor(gate)
    gate.rules = Rules()
    assert Visitor(gate).access is not None
    guard.answer(guard.only(), result={})
    assert first.access is not None
    assert first.access.rules is AUTH
