"""Trigger types and triggers. Numbers are cases of the wire protocol §18."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from msgspec import Raw
from tests.support.bus import Bus, Peer

from iii_engine.core.triggers import Trigger, TriggerType
from iii_sdk.errors import InvalidInput


def bind(peer: Peer, type: str = "webhook", id: str = "t1", **fields: Any) -> None:
    peer.tell("registertrigger", id=id, trigger_type=type, function_id="f", **fields)


def own(peer: Peer, type: str = "webhook") -> None:
    peer.tell("registertriggertype", id=type, description="d")


class Source:
    """A module's trigger type that remembers what is bound."""

    def __init__(self, bus: Bus, id: str = "cron", aliases: tuple[str, ...] = ()) -> None:
        self.bound: dict[str, Trigger] = {}
        self.bus = bus
        self.kind = TriggerType(
            id, module="iii-x", bind=self.bind, unbind=lambda t: self.bound.pop(t.id) and None
        )
        bus.engine.add_trigger_type(self.kind, aliases)

    def bind(self, trigger: Trigger) -> None:
        if trigger.config == Raw(b'"bad"'):
            raise InvalidInput("$.config: bad")
        self.bound[trigger.id] = trigger


def test_case_54_absent_config_is_null() -> None:
    bus = Bus()
    owner, registrant = bus.peer(), bus.peer()
    own(owner)
    bind(registrant)
    message = owner.only()
    assert message["config"] is None
    assert "metadata" not in message


def test_case_55_owner_decides_and_registrant_is_told() -> None:
    bus = Bus()
    owner, registrant = bus.peer(), bus.peer()
    own(owner)
    bind(registrant, config={"url": "u"}, metadata={"team": "ops"})
    message = owner.only()
    assert message == {
        "type": "registertrigger",
        "id": "t1",
        "trigger_type": "webhook",
        "function_id": "f",
        "config": {"url": "u"},
        "metadata": {"team": "ops"},
    }
    error = {"code": "trigger_registration_failed", "message": "url is required"}
    registrant.tell("triggerregistrationresult", id="t1", error=error)  # not the owner: ignored
    assert registrant.inbox() == []
    owner.tell("triggerregistrationresult", id="t1", error=error)
    assert registrant.only()["error"] == error
    assert list(bus.engine.triggers) == []
    owner.tell("triggerregistrationresult", id="t1")
    owner.tell("triggerregistrationresult", id="unknown")
    assert registrant.inbox() == []


def test_an_accepted_trigger_is_confirmed_once() -> None:
    bus = Bus()
    owner, registrant = bus.peer(), bus.peer()
    own(owner)
    bind(registrant)
    owner.tell("triggerregistrationresult", id="t1")
    owner.tell("triggerregistrationresult", id="t1")
    assert registrant.only() == {
        "type": "triggerregistrationresult",
        "id": "t1",
        "trigger_type": "webhook",
        "function_id": "f",
    }


def test_case_56_a_trigger_waits_for_its_type() -> None:
    bus = Bus()
    owner, registrant = bus.peer(), bus.peer()
    bind(registrant)
    (trigger,) = bus.engine.triggers
    assert not trigger.bound
    own(owner)
    assert owner.only()["id"] == "t1"
    assert trigger.bound


def test_case_57_a_returning_owner_gets_its_triggers_again() -> None:
    bus = Bus()
    owner, registrant = bus.peer(), bus.peer()
    own(owner)
    bind(registrant)
    bind(registrant, id="t2")
    owner.close()
    assert [t.bound for t in bus.engine.triggers] == [False, False]
    back = bus.peer()
    own(back)
    assert [m["id"] for m in back.inbox()] == ["t1", "t2"]
    own(back)
    assert [m["id"] for m in back.inbox()] == ["t1", "t2"]


def test_case_58_only_the_owner_unregisters_a_type() -> None:
    bus = Bus()
    owner, other = bus.peer(), bus.peer()
    own(owner)
    bind(other)
    other.tell("unregistertriggertype", id="webhook")
    other.tell("unregistertriggertype", id="unknown")
    (trigger,) = bus.engine.triggers
    assert trigger.bound
    owner.tell("unregistertriggertype", id="webhook")
    assert not trigger.bound


def test_case_59_unregistering_reaches_the_type() -> None:
    bus = Bus()
    owner, registrant = bus.peer(), bus.peer()
    source = Source(bus)
    own(owner)
    bind(registrant, config={"a": 1})
    bind(registrant, "cron", "c1")
    owner.inbox()
    owner.tell("unregistertrigger", id="t1")  # not its own
    registrant.tell("unregistertrigger", id="t1", trigger_type="webhook")
    message = owner.only()
    assert (message["type"], message["id"], message["trigger_type"], message["config"]) == (
        "unregistertrigger",
        "t1",
        "webhook",
        {"a": 1},
    )
    assert "c1" in source.bound
    registrant.tell("unregistertrigger", id="c1")
    registrant.tell("unregistertrigger", id="c1")
    assert source.bound == {}


def test_case_60_a_gone_registrant_takes_its_triggers_along() -> None:
    bus = Bus()
    owner, registrant = bus.peer(), bus.peer()
    own(owner)
    bind(registrant)
    bind(registrant, id="t2")
    owner.inbox()
    registrant.close()
    assert [(m["type"], m["id"]) for m in owner.inbox()] == [
        ("unregistertrigger", "t1"),
        ("unregistertrigger", "t2"),
    ]


def test_case_61_the_same_id_replaces() -> None:
    bus = Bus()
    source = Source(bus)
    one, two = bus.peer(), bus.peer()
    bind(one, "cron", config={"n": 1})
    first = source.bound["t1"]
    bind(two, "cron", config={"n": 1})
    assert source.bound["t1"] is first
    assert first.owner is two.session
    bind(two, "cron", config={"n": 2})
    assert source.bound["t1"] is not first
    one.close()
    assert "t1" in source.bound


def test_a_refusing_module_leaves_nothing() -> None:
    bus = Bus()
    source = Source(bus)
    registrant = bus.peer()
    bind(registrant, "cron", config="bad")
    assert registrant.only()["error"] == {"code": "invalid_input", "message": "$.config: bad"}
    assert source.bound == {}
    assert list(bus.engine.triggers) == []


def test_ownerless_triggers_tell_nobody() -> None:
    bus = Bus()
    source = Source(bus)
    trigger = Trigger("t1", "cron", "f", Raw(b"null"), Raw(b"null"), None)
    assert bus.engine.triggers.add(trigger) is None
    assert "t1" in source.bound


def test_aliases_bind_to_the_same_type_under_their_own_name() -> None:
    bus = Bus()
    registrant = bus.peer()
    bind(registrant, "api", "t1")
    source = Source(bus, "http", aliases=("api",))
    bind(registrant, "http", "t2")
    assert set(source.bound) == {"t1", "t2"}
    assert source.bound["t1"].type == "api"
    bus.engine.remove_trigger_type("http")
    assert [t.bound for t in bus.engine.triggers] == [False, False]


def test_types_of_modules_are_never_taken_over() -> None:
    bus = Bus()
    source = Source(bus)
    thief = bus.peer()
    own(thief, "cron")
    assert bus.engine.triggers.type_of("cron") is source.kind
    assert list(bus.engine.triggers.types()) == [source.kind]


def test_a_new_owner_takes_over_and_the_old_one_is_told() -> None:
    bus = Bus()
    old, new = bus.peer(), bus.peer()
    own(old)
    bind(bus.peer())
    old.inbox()
    own(new)
    assert old.only()["type"] == "unregistertrigger"
    assert new.only()["type"] == "registertrigger"
    old.close()
    assert bus.engine.triggers.type_of("webhook") is not None


def test_a_module_started_again_gets_its_triggers_again() -> None:
    bus = Bus()
    registrant = bus.peer()
    first = Source(bus)
    bind(registrant, "cron")
    second = Source(bus)
    assert (first.bound, set(second.bound)) == ({}, {"t1"})


@pytest.mark.parametrize(("type", "hint"), [("cron", "iii-cron"), ("webhook", "not registered")])
def test_a_missing_type_is_reported_after_five_seconds(
    type: str, hint: str, caplog: pytest.LogCaptureFixture
) -> None:
    bus = Bus()
    registrant = bus.peer()
    bind(registrant, type)
    bus.wait(4.9)
    assert registrant.inbox() == []
    with caplog.at_level(logging.WARNING):
        bus.wait(0.2)
        bus.wait(60)
    error = registrant.only()["error"]
    assert error["code"] == "trigger_type_not_found"
    assert hint in error["message"]
    assert len(list(bus.engine.triggers)) == 1


def test_a_silent_owner_keeps_the_trigger(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus()
    owner, registrant = bus.peer(), bus.peer()
    own(owner)
    bind(registrant)
    with caplog.at_level(logging.WARNING):
        bus.wait(30.1)
    assert "did not answer" in caplog.text
    assert registrant.inbox() == []
    (trigger,) = bus.engine.triggers
    assert trigger.bound
