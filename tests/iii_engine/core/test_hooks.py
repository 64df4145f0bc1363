"""What registration hooks are asked, and what they may change (wire protocol 10.5)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw
from tests.support.bus import Bus, Peer

from iii_engine.core.access import Rules
from iii_engine.core.grants import Grant

RULES = Rules(on_function="hook", on_trigger="hook", on_trigger_type="hook")
GRANT = Grant(may_register_trigger_types=True, context={"user_id": Raw(b'"u1"')})


@pytest.fixture
def guest(bus: Bus, hook: Peer) -> Peer:
    return bus.guarded(RULES, GRANT)


def test_wire_case_78_a_function_hook_sees_and_changes(bus: Bus, hook: Peer, guest: Peer) -> None:
    guest.tell("registerfunction", id="f", description="d", metadata={"m": 1})
    question = hook.only()
    assert question["data"] == {
        "function_id": "f",
        "description": "d",
        "metadata": {"m": 1},
        "context": {"user_id": "u1"},
    }
    assert "f" not in bus.engine.registry
    answer = {"function_id": "g", "description": "e", "metadata": {"n": 2}}
    hook.answer(question, result=answer)
    function = bus.engine.registry.get("g")
    assert function is not None
    assert (function.newest.description, bytes(function.newest.metadata)) == ("e", b'{"n": 2}')
    bus.peer().ask("g", 1)
    assert guest.only()["function_id"] == "f"  # as its worker knows it


def test_wire_case_78_null_leaves_a_field_as_it_was(bus: Bus, hook: Peer, guest: Peer) -> None:
    guest.tell("registerfunction", id="f", description="d", metadata={"m": 1})
    nulls = {"function_id": None, "description": None, "metadata": None}
    hook.answer(hook.only(), result=nulls)
    function = bus.engine.registry.get("f")
    assert function is not None
    assert (function.newest.description, bytes(function.newest.metadata)) == ("d", b'{"m": 1}')
    guest.tell("registertriggertype", id="t", description="d")
    hook.answer(hook.only(), result={"trigger_type_id": None, "description": None})
    kind = bus.engine.triggers.type_of("t")
    assert kind is not None
    assert kind.description == "d"
    fields = {"trigger_type": "t", "function_id": "f", "config": {"c": 1}}
    guest.tell("registertrigger", id="i", **fields)
    names = ("trigger_id", "trigger_type", "function_id", "config")
    hook.answer(hook.only(), result=dict.fromkeys(names))
    trigger = bus.engine.triggers.get("i")
    assert trigger is not None
    assert (trigger.type, trigger.function_id, bytes(trigger.config)) == ("t", "f", b'{"c": 1}')


def test_wire_case_78_a_trigger_hook_sees_and_changes(bus: Bus, hook: Peer, guest: Peer) -> None:
    guest.offer("f")
    hook.answer(hook.only(), result={})
    fields = {"trigger_type": "t", "function_id": "x", "config": {"c": 1}, "metadata": {"m": 1}}
    guest.tell("registertrigger", id="i", **fields)
    question = hook.only()
    assert question["data"] == {"trigger_id": "i", **fields, "context": {"user_id": "u1"}}
    answer = {"trigger_id": "j", "trigger_type": "u", "function_id": "f", "config": [2]}
    hook.answer(question, result=answer)
    trigger = bus.engine.triggers.get("j")
    assert trigger is not None
    assert (trigger.type, trigger.function_id, bytes(trigger.config)) == ("u", "f", b"[2]")
    bus.wait(6)  # nobody offers the type: the worker is told in its own words
    told = guest.only()
    assert (told["id"], told["trigger_type"], told["function_id"]) == ("i", "t", "x")
    guest.tell("unregistertrigger", id="i")
    assert bus.engine.triggers.get("j") is None


def test_wire_case_78_a_type_hook_sees_and_changes(bus: Bus, hook: Peer, guest: Peer) -> None:
    guest.tell("registertriggertype", id="t", description="d")
    question = hook.only()
    context = {"user_id": "u1"}
    assert question["data"] == {"trigger_type_id": "t", "description": "d", "context": context}
    hook.answer(question, result={"trigger_type_id": "u", "description": "e"})
    kind = bus.engine.triggers.type_of("u")
    assert kind is not None
    assert kind.description == "e"
    other = bus.peer()
    other.tell("registertrigger", id="i", trigger_type="u", function_id="f")
    told = guest.only()
    assert (told["type"], told["trigger_type"]) == ("registertrigger", "t")  # as it knows it
    other.tell("unregistertrigger", id="i")
    assert guest.only()["trigger_type"] == "t"
    guest.tell("unregistertriggertype", id="t")
    assert bus.engine.triggers.type_of("u") is None


DENIALS: list[dict[str, Any]] = [
    {"error": {"code": "x", "message": "denied"}},
    {"result": None},
    {"result": "yes"},
    {"result": {"function_id": 7, "trigger_type_id": 7}},
]


@pytest.mark.parametrize("answer", DENIALS)
def test_wire_case_78_errors_and_other_answers_deny(
    bus: Bus, hook: Peer, guest: Peer, answer: dict[str, Any]
) -> None:
    guest.offer("f")
    hook.answer(hook.only(), **answer)
    assert "f" not in bus.engine.registry
    guest.tell("registertriggertype", id="t", description="")
    hook.answer(hook.only(), **answer)
    assert bus.engine.triggers.type_of("t") is None
    guest.tell("registertrigger", id="i", trigger_type="t", function_id="f")
    hook.answer(hook.only(), **answer)
    assert bus.engine.triggers.get("i") is None
    told = guest.only()
    assert (told["type"], told["id"]) == ("triggerregistrationresult", "i")
    assert told["error"]["code"] == "FORBIDDEN"


def test_a_hook_may_appear_a_little_later() -> None:
    bus = Bus()
    guest = bus.guarded(RULES, GRANT)
    guest.offer("f")
    bus.wait(4)
    hook = bus.peer("hook")
    hook.answer(hook.only(), result={})
    assert "f" in bus.engine.registry


def test_a_missing_hook_denies() -> None:
    bus = Bus()
    guest = bus.guarded(RULES, GRANT)
    guest.offer("f")
    bus.wait(5)
    bus.peer("hook")
    assert "f" not in bus.engine.registry


def test_a_silent_hook_denies(bus: Bus, hook: Peer, guest: Peer) -> None:
    guest.offer("f")
    question = hook.only()
    bus.wait(30.1)
    hook.answer(question, result={})
    assert "f" not in bus.engine.registry
