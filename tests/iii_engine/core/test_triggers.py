"""Trigger types and triggers. Numbers are cases of the wire protocol §18."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import Raw
from tests.support.bus import Bus, Peer

from iii_engine.core import triggers
from iii_engine.core.trigger_index import TriggerIndex
from iii_engine.core.triggers import Trigger, TriggerType
from iii_sdk.errors import InvalidInput
from iii_sdk.protocol import NULL


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


def test_wire_case_54_absent_config_is_null() -> None:
    bus = Bus()
    owner, registrant = bus.peer(), bus.peer()
    own(owner)
    bind(registrant)
    message = owner.only()
    assert message["config"] is None
    assert "metadata" not in message


def test_wire_case_55_owner_decides_and_registrant_is_told() -> None:
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


def test_wire_case_56_a_trigger_waits_for_its_type() -> None:
    bus = Bus()
    owner, registrant = bus.peer(), bus.peer()
    bind(registrant)
    (trigger,) = bus.engine.triggers
    assert not trigger.bound
    own(owner)
    assert owner.only()["id"] == "t1"
    assert trigger.bound


def test_wire_case_57_a_returning_owner_gets_its_triggers_again() -> None:
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


def test_wire_case_58_only_the_owner_unregisters_a_type() -> None:
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


def test_wire_case_59_unregistering_reaches_the_type() -> None:
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


def test_wire_case_60_a_gone_registrant_takes_its_triggers_along() -> None:
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


def test_wire_case_61_the_same_id_replaces() -> None:
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


# -- a client connects again, and what its old connection sent comes late --------------------------


def again(bus: Bus) -> tuple[Peer, Peer]:
    """The old and the new connection of one program."""
    old, new = bus.peer(), bus.peer()
    for peer in (old, new):
        peer.describe(name="host:7", pid=7)
    return old, new


def test_a_late_registration_of_an_old_connection_takes_no_trigger_along() -> None:
    bus = Bus()
    source = Source(bus)
    old, new = again(bus)
    bind(new, "cron")
    bind(old, "cron")
    assert source.bound["t1"].owner is new.session
    old.close()
    assert source.bound["t1"].owner is new.session
    new.close()
    assert source.bound == {}


def test_so_it_is_while_the_type_is_not_there() -> None:
    bus = Bus()
    old, new = again(bus)
    bind(new)
    bind(old)
    old.close()
    owner = bus.peer()
    own(owner)
    assert owner.only()["id"] == "t1"


def test_a_connection_that_registered_earlier_keeps_the_trigger_when_a_newer_one_goes() -> None:
    bus = Bus()
    source = Source(bus)
    first, second = bus.peer(), bus.peer()
    bind(first, "cron")
    bind(second, "cron")
    assert source.bound["t1"].owner is second.session
    second.close()
    assert source.bound["t1"].owner is first.session


def test_what_an_old_connection_unregisters_late_stays_for_the_new_one() -> None:
    bus = Bus()
    source = Source(bus)
    old, new = again(bus)
    bind(old, "cron")
    bind(new, "cron")
    old.tell("unregistertrigger", id="t1", trigger_type="cron")
    assert source.bound["t1"].owner is new.session
    new.tell("unregistertrigger", id="t1", trigger_type="cron")
    assert source.bound == {}


def test_an_old_connection_does_not_bring_an_old_config_back() -> None:
    bus = Bus()
    source = Source(bus)
    old, new = again(bus)
    bind(new, "cron", config={"n": 2})
    bind(old, "cron", config={"n": 1})
    assert bytes(source.bound["t1"].config) == b'{"n": 2}'


def test_a_trigger_that_the_engine_was_asked_for_has_no_owner_to_lose() -> None:
    bus = Bus()
    source = Source(bus)
    peer = bus.peer()
    bind(peer, "cron")
    bus.engine.triggers.add(Trigger("t1", "cron", "f", NULL, NULL, None))
    peer.close()
    assert source.bound["t1"].owner is None


def test_a_late_registration_of_an_old_connection_takes_no_type_along() -> None:
    bus = Bus()
    old, new = again(bus)
    bind(bus.peer())
    own(new)
    assert new.only()["id"] == "t1"
    own(old)
    old.close()
    assert new.inbox() == []
    assert bus.engine.triggers.type_of("webhook") is not None


class Unwalked(TriggerIndex):
    """Triggers that may be found, but not gone through."""

    def __iter__(self) -> Iterator[Trigger]:
        raise AssertionError("a type that comes or goes looks at all triggers")


def test_a_type_is_found_its_triggers_without_looking_at_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(triggers, "TriggerIndex", Unwalked)
    bus = Bus()
    owner, registrant = bus.peer(), bus.peer()
    for number in range(4):
        bind(registrant, ("webhook", "hook")[number % 2], id=f"t{number}")
    own(owner)
    assert [m["id"] for m in owner.inbox()] == ["t0", "t2"]
    bind(registrant, "webhook", id="t4")
    assert owner.only()["id"] == "t4"
    source = Source(bus, "cron", aliases=("hook",))
    bind(registrant, "cron", id="t5")
    assert list(source.bound) == ["t1", "t3", "t5"]
    owner.tell("unregistertriggertype", id="webhook")
    own(owner)
    assert [m["id"] for m in owner.inbox()] == ["t0", "t2", "t4"]
    bus.engine.triggers._triggers = TriggerIndex(
        bus.engine.reliance
    )  # a disconnect goes through all of them
