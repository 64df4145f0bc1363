"""Registrations of guarded sessions: their order, and who owns what (wire protocol 4.1, 10.5)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.bus import Bus, Peer, replying

from iii_engine.core import ledger, registrations
from iii_engine.core.access import Rules
from iii_engine.core.filters import read_filter
from iii_engine.core.grants import Grant

OPEN_ALL = (read_filter('match("*")'),)
HOOKED = Rules(expose=OPEN_ALL, on_function="hook")
PLAIN = Rules(expose=OPEN_ALL)
GRANT = Grant(may_register_trigger_types=True)


@pytest.fixture
def guest(bus: Bus, hook: Peer) -> Peer:
    return bus.guarded(HOOKED, GRANT)


# -- order -----------------------------------------------------------------------------------------


def test_later_registrations_wait_for_a_hook(bus: Bus, hook: Peer, guest: Peer) -> None:
    guest.offer("a", "b")
    guest.tell("registertriggertype", id="t", description="")
    guest.tell("unregisterfunction", id="a")
    (first,) = hook.inbox()
    assert bus.engine.triggers.type_of("t") is None
    hook.answer(first, result={})
    assert list(guest.session.functions) == ["a"]
    hook.answer(hook.only(), result={})
    assert list(guest.session.functions) == ["b"]
    assert bus.engine.triggers.type_of("t") is not None


def test_results_and_pongs_do_not_wait(bus: Bus, hook: Peer) -> None:
    guest = bus.guarded(HOOKED, GRANT)
    guest.offer("mine")
    hook.answer(hook.only(), result={})
    caller = bus.peer()
    caller.ask("mine")
    call = guest.only()
    guest.offer("other")
    guest.answer(call, result=1)
    guest.tell("ping")
    assert caller.only()["result"] == 1
    assert guest.only() == {"type": "pong"}


def test_a_hook_may_live_on_the_worker_that_waits(bus: Bus) -> None:
    rules = Rules(expose=OPEN_ALL, auth_function_id="auth", on_trigger="own::hook")
    guest = bus.guarded(rules, Grant(allowed_functions=frozenset({"own::hook"})))
    guest.offer("own::hook", "f")
    guest.tell("registertrigger", id="t", trigger_type="x", function_id="f")
    guest.answer(guest.only(), result={})
    assert bus.engine.triggers.get("t") is not None


def test_calls_wait_for_the_registrations_before_them(bus: Bus, hook: Peer, guest: Peer) -> None:
    worker = bus.peer("w")
    guest.offer("mine")
    call = guest.ask("mine")
    guest.ask("w")
    guest.tell("unregisterfunction", id="mine")
    assert guest.inbox() == []
    hook.answer(hook.only(), result={})
    own = guest.only()
    assert (own["type"], own["invocation_id"]) == ("invokefunction", call)
    assert worker.only()["function_id"] == "w"
    assert guest.session.functions == {}
    bus.wait(20)
    assert worker.inbox() == []  # it is not called twice
    guest.ask("w")
    assert worker.only()["function_id"] == "w"


def test_calls_wait_ten_seconds_at_most(bus: Bus, hook: Peer, guest: Peer) -> None:
    worker = bus.peer("w")
    guest.offer("mine")
    guest.ask("w", 1)
    bus.wait(5)
    guest.ask("w", 2)
    bus.wait(4.9)
    assert worker.inbox() == []
    bus.wait(0.1)
    assert worker.only()["data"] == 1
    bus.wait(5)
    assert worker.only()["data"] == 2
    hook.answer(hook.only(), result={})
    assert list(guest.session.functions) == ["mine"]


def test_hooks_that_answer_at_once_do_not_nest(bus: Bus) -> None:
    bus.engine.add_function("hook", replying({}), module="m")
    guest = bus.guarded(Rules(on_function="hook", on_trigger="late"), GRANT)
    guest.tell("registertrigger", id="t", trigger_type="x", function_id="f")
    ids = [f"f{n}" for n in range(900)]
    guest.offer(*ids)
    bus.engine.add_function("late", replying({}), module="m")
    assert list(guest.session.functions) == ids


@pytest.mark.parametrize("limit", ["MAX_WAITING", "MAX_WAITING_BYTES"])
def test_a_worker_with_too_much_waiting_is_not_read(
    bus: Bus, hook: Peer, guest: Peer, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(registrations, limit, 2 if limit == "MAX_WAITING" else 150)
    resumed: list[bool] = []
    guest.session.on_resume = lambda: resumed.append(True)
    guest.offer("a")
    guest.offer("b")
    assert not guest.session.paused
    guest.ask("x")
    assert guest.session.paused
    hook.answer(hook.only(), result={})
    assert resumed == []
    hook.answer(hook.only(), result={})
    assert resumed == [True]
    assert not guest.session.paused


def test_a_session_that_goes_leaves_nothing(bus: Bus, hook: Peer, guest: Peer) -> None:
    worker = bus.peer("w")
    guest.offer("a", "b")
    guest.ask("w")
    guest.close()
    hook.answer(hook.only(), result={})
    bus.wait(20)
    assert worker.inbox() == hook.inbox() == []
    assert "a" not in bus.engine.registry
    idle = bus.guarded(HOOKED, GRANT)
    idle.close()


REQUESTS: list[dict[str, Any]] = [
    {"type": "registerfunction", "id": "f"},
    {"type": "registertriggertype", "id": "f", "description": ""},
    {"type": "registertrigger", "id": "f", "trigger_type": "t", "function_id": "x"},
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_session_that_goes_while_its_hook_answers(bus: Bus, request_: dict[str, Any]) -> None:
    guest = bus.guarded(Rules(on_function="hook", on_trigger="hook", on_trigger_type="hook"), GRANT)

    def leave(call: Any) -> None:
        guest.close()
        call.reply(b"{}")

    bus.engine.add_function("hook", leave, module="m")
    guest.tell(**request_)
    assert "f" not in bus.engine.registry
    assert bus.engine.triggers.type_of("f") is None
    assert bus.engine.triggers.get("f") is None


def test_other_messages_are_applied_as_usual(bus: Bus) -> None:
    old, guest = bus.peer("f"), bus.guarded(PLAIN, GRANT)
    guest.tell("reattach", previous_worker_id=old.id, reattach_token=old.token)
    assert old.closed_with == 1008


# -- functions -------------------------------------------------------------------------------------


def test_functions_may_be_forbidden(bus: Bus) -> None:
    guest = bus.guarded(PLAIN, Grant(may_register_functions=False))
    guest.offer("f")
    assert "f" not in bus.engine.registry


def test_an_empty_id_is_refused(bus: Bus) -> None:
    guest = bus.guarded(PLAIN, Grant(prefix="p"))
    guest.offer(" ")
    assert guest.session.functions == {}


def test_wire_case_77_prefixed_functions(bus: Bus) -> None:
    guest, caller = bus.guarded(PLAIN, Grant(prefix="p")), bus.peer()
    guest.offer("f")
    caller.ask("f")
    assert caller.only()["error"]["code"] == "function_not_found"
    call = caller.ask("p::f", {"x": 1})
    asked = guest.only()
    assert asked["function_id"] == "f"
    guest.answer(asked, result=1)
    answer = caller.only()
    assert (answer["invocation_id"], answer["function_id"]) == (call, "p::f")
    caller.ask("p::f", 1, baggage="k=v")  # the other way to make the frame
    assert guest.only()["function_id"] == "f"
    guest.ask("f")  # not applied to what it calls
    assert guest.only()["error"]["message"] == "Function f not found"
    guest.tell("unregisterfunction", id="f")
    caller.ask("p::f")
    assert [m["error"]["code"] for m in caller.inbox()] == ["function_not_found"]


def test_a_prefix_keeps_out_of_the_ids_of_others(bus: Bus) -> None:
    owner, guest = bus.peer("f"), bus.guarded(PLAIN, Grant(prefix="p"))
    guest.offer("f")
    guest.tell("unregisterfunction", id="f")
    bus.peer().ask("f")
    assert owner.only()["function_id"] == "f"


def test_a_function_that_is_mapped_anew_leaves_its_old_id(
    bus: Bus, hook: Peer, guest: Peer
) -> None:
    for mapped in ("one", "two"):
        guest.offer("f")
        hook.answer(hook.only(), result={"function_id": mapped})
    assert list(guest.session.functions) == ["two"]
    guest.tell("unregisterfunction", id="f")
    assert guest.session.functions == {}


# -- what others own -------------------------------------------------------------------------------


def test_trigger_types_may_be_forbidden(bus: Bus) -> None:
    bus.guarded(PLAIN, Grant()).tell("registertriggertype", id="t", description="")
    assert bus.engine.triggers.type_of("t") is None


def test_the_types_of_others_are_not_taken(bus: Bus) -> None:
    owner, guest = bus.peer(), bus.guarded(PLAIN, GRANT)
    owner.tell("registertriggertype", id="t", description="mine")
    guest.tell("registertriggertype", id="t", description="stolen")
    guest.tell("unregistertriggertype", id="t")
    kind = bus.engine.triggers.type_of("t")
    assert kind is not None
    assert kind.session is owner.session
    guest.tell("registertriggertype", id="own", description="1")
    guest.tell("registertriggertype", id="own", description="2")
    again = bus.guarded(PLAIN, GRANT)
    again.tell("registertriggertype", id="own", description="3")
    kind = bus.engine.triggers.type_of("own")
    assert kind is not None
    assert (kind.session, kind.description) == (again.session, "3")


def test_the_services_of_others_are_not_taken(bus: Bus) -> None:
    owner, guest = bus.peer(), bus.guarded(PLAIN, GRANT)
    owner.tell("registerservice", id="pay", name="Payments")
    guest.tell("registerservice", id="pay", name="Stolen")
    guest.tell("registerservice", id="own", name="Own")
    assert {s.name for s in bus.engine.services} == {"Payments", "Own"}


def test_unregistering_touches_only_what_is_its_own(bus: Bus) -> None:
    owner, guest = bus.peer(), bus.guarded(PLAIN, GRANT)
    owner.tell("registertrigger", id="t", trigger_type="x", function_id="f")
    guest.tell("unregistertrigger", id="t")
    assert bus.engine.triggers.get("t") is not None


def test_nobody_answers_for_a_stream_unless_the_auth_function_says_so(bus: Bus) -> None:
    own = "stream::get(orders)"
    bus.guarded(PLAIN, GRANT).offer(own, "stream::mine")
    assert [f.id for f in bus.engine.registry] == ["stream::mine"]
    bus.guarded(PLAIN, Grant(prefix="p")).offer(own)
    assert "p::" + own in bus.engine.registry
    bus.guarded(PLAIN, Grant(allowed_functions=frozenset({own}))).offer(own)
    assert own in bus.engine.registry


def test_what_has_no_room_leaves_no_name(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_REGISTRATIONS", 3)
    rules = Rules(expose=OPEN_ALL, on_trigger="renames", on_trigger_type="renames")
    renames = bus.peer("renames")
    guest = bus.guarded(rules, Grant(may_register_trigger_types=True, prefix="p"))
    for n in range(20):
        guest.offer(f"f{n}")
    assert len(guest.session.access.names) == 3  # type: ignore[union-attr]
    assert bus.engine.registry.get("p::f2") is not None
    assert bus.engine.registry.get("p::f3") is None
    guest.tell("unregisterfunction", id="f0")
    for n in range(20):
        guest.tell("registertriggertype", id=f"t{n}", description="")
        renames.answer(renames.only(), result={"trigger_type_id": f"u{n}"})
        guest.tell("registertrigger", id=f"i{n}", trigger_type="x", function_id="f1")
        renames.answer(renames.only(), result={"trigger_id": f"j{n}"})
    assert len(guest.session.access.names) == 3  # type: ignore[union-attr]
    told = [m for m in guest.inbox() if m["type"] == "triggerregistrationresult"]
    assert {m["error"]["code"] for m in told} == {"registration_limit"}
