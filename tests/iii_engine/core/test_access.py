"""Permissions of guarded sessions (wire protocol 10.3)."""

from __future__ import annotations

import pytest
from msgspec import Raw
from tests.support.bus import Bus, replying

from iii_engine.core.access import INFRASTRUCTURE, Rules
from iii_engine.core.filters import read_filter
from iii_engine.core.grants import Grant
from iii_engine.core.sessions import Session
from iii_engine.core.standing import standing_of

RULES = Rules(expose=(read_filter('match("open::*")'), read_filter({"public": True})))
TRACE = f"00-{'a' * 32}-{'b' * 16}-01"
AUTH = Rules(auth_function_id="auth", middleware="middleware")


def test_wire_cases_73_and_74_refusals_name_the_function_and_the_way_out() -> None:
    bus = Bus()
    bus.peer("secret::f", "open::f")
    grant = Grant(frozenset({"open::f", "extra"}), frozenset({"open::f", "open::bad"}))
    caller = bus.guarded(RULES, grant)
    for function_id, way in (
        ("secret::f", "add to rbac.expose_functions"),
        ("open::f", "remove from rbac.forbidden_functions"),
        ("open::bad", "remove from rbac.forbidden_functions"),
    ):
        caller.ask(function_id, traceparent=TRACE, baggage="b")
        answer = caller.only()
        text = f"function '{function_id}' not allowed ({way})"
        assert answer["error"] == {"code": "FORBIDDEN", "message": text}
        assert (answer["traceparent"], answer["baggage"]) == (TRACE, "b")
    caller.ask("extra")
    assert caller.only()["error"]["code"] == "function_not_found"


def test_metadata_exposes_a_function() -> None:
    bus = Bus()
    worker, caller = bus.peer(), bus.guarded(RULES)
    worker.tell("registerfunction", id="f", metadata={"public": True})
    worker.tell("registerfunction", id="g", metadata={"public": False})
    caller.ask("f")
    assert worker.only()["function_id"] == "f"
    caller.ask("g")
    assert caller.only()["error"]["code"] == "FORBIDDEN"


def test_a_guarded_worker_exposes_its_own_function_for_calls_but_not_for_jobs() -> None:
    """The job would wait for whoever provides the function then: a trusted worker, perhaps."""
    bus = Bus()
    taken: list[str] = []
    bus.engine.enqueue = lambda call, action: taken.append(call.function_id)
    trusted, guarded = bus.peer(), bus.guarded(RULES)
    guarded.tell("registerfunction", id="mine", metadata={"public": True})
    trusted.tell("registerfunction", id="theirs", metadata={"public": True})
    guarded.ask("mine")
    assert guarded.only()["type"] == "invokefunction"
    guarded.ask("mine", action={"type": "enqueue", "queue": "q"})
    assert guarded.only()["error"]["code"] == "FORBIDDEN"
    guarded.ask("theirs", action={"type": "enqueue", "queue": "q"})
    assert taken == ["theirs"]


def test_void_calls_are_denied_in_silence_and_enqueueing_is_checked() -> None:
    bus = Bus()
    worker, caller = bus.peer("secret::f"), bus.guarded(RULES)
    caller.tell("invokefunction", function_id="secret::f", action={"type": "void"})
    caller.tell("invokefunction", function_id="secret::f")
    assert caller.inbox() == []
    caller.ask("secret::f", action={"type": "enqueue", "queue": "q"})
    assert caller.only()["error"]["code"] == "FORBIDDEN"
    assert worker.inbox() == []


def test_wire_case_76_infrastructure_is_for_everybody_unless_forbidden() -> None:
    bus = Bus()
    caller = bus.guarded(RULES, Grant(forbidden_functions=frozenset({"engine::log::info"})))
    access = caller.session.access
    assert access is not None
    assert {i for i in INFRASTRUCTURE if not access.may_call(i)} == {"engine::log::info"}
    assert not access.may_call("engine::functions::list")


def test_sessions_behind_a_middleware_only_are_trusted() -> None:
    bus = Bus()
    worker = bus.peer("f")
    access = bus.guarded(Rules(guarded=False, middleware="m")).session.access
    assert access is not None
    assert access.may_call("f")
    assert access.may_reach("f")
    assert access.may_bind("any")
    assert access.may_register_functions()
    assert access.may_register_trigger_types()
    assert access.may_replace(worker.session)
    assert bus.engine.reliance.refusal("m", standing_of(access, "m")) is None


@pytest.mark.parametrize("id", ["f", "open::f"])
def test_the_ids_of_others_are_not_taken(id: str) -> None:
    bus = Bus()
    owner, other = bus.peer(id), bus.guarded(RULES)
    other.offer(id)
    function = bus.engine.registry.get(id)
    assert function is not None
    assert list(function.providers) == [owner.session]


def test_equal_grants_share_their_ids() -> None:
    bus = Bus()
    one = Grant(context={"user": Raw(b"1")})
    two = Grant(context={"user": Raw(b"2")})
    old, new, stranger = bus.guarded(AUTH, one), bus.guarded(AUTH, one), bus.guarded(AUTH, two)
    for peer in (old, new, stranger):
        peer.offer("f")
    function = bus.engine.registry.get("f")
    assert function is not None
    assert list(function.providers) == [old.session, new.session]
    trusted = bus.peer("f")  # who is trusted may
    assert function.newest.session is trusted.session


def test_functions_of_modules_are_reserved() -> None:
    bus = Bus()
    bus.engine.add_function("state::set", replying(1), module="m")
    guest = bus.guarded(RULES)
    guest.offer("state::set", "engine::x")
    assert guest.session.functions == {}


def test_only_a_connection_with_its_rights_is_a_later_one_of_a_program(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = Bus()
    trusted = bus.peer()
    guest = bus.guarded(Rules(expose=(read_filter('match("*")'),)))
    later = bus.peer()
    for peer in (trusted, guest, later):  # name and pid are what a worker says of itself
        peer.describe(name="host:7", pid=7)
    bind = {"trigger_type": "t", "function_id": "f"}
    guest.tell("registerservice", id="s", name="guest")
    guest.tell("registertriggertype", id="t", description="guest")
    guest.tell("registertrigger", id="t1", config=1, **bind)
    trusted.tell("registerservice", id="s", name="trusted")
    trusted.tell("registertriggertype", id="t", description="trusted")
    trusted.tell("registertrigger", id="t1", config=2, **bind)

    def owners() -> list[Session | None]:
        kind, trigger = bus.engine.triggers.type_of("t"), bus.engine.triggers.get("t1")
        assert kind is not None
        assert trigger is not None
        return [bus.engine.services.owner_of("s"), kind.session, trigger.owner]

    assert owners() == [trusted.session] * 3
    later.tell("registerservice", id="s", name="later")
    later.tell("registertriggertype", id="t", description="later")
    later.tell("registertrigger", id="t1", config=3, **bind)
    trusted.tell("registerservice", id="s", name="trusted")
    trusted.tell("registertriggertype", id="t", description="trusted")
    trusted.tell("registertrigger", id="t1", config=2, **bind)
    assert owners() == [later.session] * 3
    for what in ("service 's'", "trigger type 't'", "trigger 't1'"):
        assert f"{what} of worker host:7 is left as its later connection has it" in caplog.text
