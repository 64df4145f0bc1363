"""Calls that wait for their function."""

from __future__ import annotations

import json
from typing import Any

from tests.support.bus import Bus, replying

from iii_engine.core.patient_call import PatientCall


def start(bus: Bus) -> tuple[PatientCall, list[Any]]:
    answers: list[Any] = []

    def on_answer(result: Any, error: Any) -> None:
        answers.append(json.loads(bytes(result)) if error is None else error.message)

    call = PatientCall(bus.engine, "f", b"{}", on_answer, 1000)
    call.start()
    return call, answers


def test_a_function_that_is_there_is_called_at_once() -> None:
    bus = Bus()
    bus.engine.add_function("f", replying(1), module="m")
    assert start(bus)[1] == [1]


def test_one_that_appears_is_called_then() -> None:
    bus = Bus()
    (_, one), (_, two) = start(bus), start(bus)
    bus.wait(4.9)
    worker = bus.peer("f")
    first, second = worker.inbox()
    worker.answer(second, result=2)
    worker.answer(first, result=1)
    assert (one, two) == ([1], [2])
    bus.wait(10)
    assert (one, two) == ([1], [2])


def test_one_of_a_module_may_appear_too() -> None:
    bus = Bus()
    _, answers = start(bus)
    bus.engine.add_function("f", replying(1), module="m")
    assert answers == [1]


def test_after_five_seconds_it_is_missing() -> None:
    bus = Bus()
    (_, answers), (other, others) = start(bus), start(bus)
    other.cancel()
    bus.wait(5)
    assert answers == ["Function f not found"]
    assert others == []
    assert bus.peer("f").inbox() == []


def test_the_answer_has_its_own_limit() -> None:
    bus = Bus()
    worker = bus.peer("f")
    _, answers = start(bus)
    worker.inbox()
    bus.wait(1.1)
    assert answers == ["Function f did not answer in time"]


def test_a_cancelled_call_is_not_answered() -> None:
    bus = Bus()
    worker = bus.peer("f")
    call, answers = start(bus)
    call.cancel()
    worker.answer(worker.only(), result=1)
    assert answers == []


def test_stopping_to_wait_twice_does_no_harm() -> None:
    bus = Bus()
    bus.engine.registry.stop_awaiting("f", lambda: None)
    bus.engine.registry.await_provider("f", answer := list[int]().clear)
    bus.engine.registry.stop_awaiting("f", lambda: None)
    bus.engine.registry.stop_awaiting("f", answer)
    assert start(bus)[1] == []
