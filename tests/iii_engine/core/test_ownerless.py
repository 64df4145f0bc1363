"""Triggers without an owner are bounded: no disconnect takes them away."""

from __future__ import annotations

import pytest
from msgspec import Raw
from tests.support.bus import Bus, Peer

from iii_engine.core import ledger, ownerless
from iii_engine.core.triggers import Trigger
from iii_sdk.protocol import NULL


def free(bus: Bus, id: str, maker: Peer | None = None, size: int = 4, type: str = "x") -> str:
    """Make a trigger without an owner; the code of what refuses it, or nothing."""
    config = Raw(b'"%b"' % (b"c" * (size - 2)))
    refused = bus.engine.triggers.add(
        Trigger(id, type, "f", config, NULL, None), None if maker is None else maker.session
    )
    return "" if refused is None else refused.code


def ids(bus: Bus) -> list[str]:
    return [trigger.id for trigger in bus.engine.triggers]


def test_they_are_as_many_as_may_be_whoever_made_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownerless, "MAX_TRIGGERS", 3)
    bus = Bus()
    for number in range(5):
        maker = bus.peer()
        assert free(bus, f"t{number}", maker) == ("" if number < 3 else "registration_limit")
        maker.close()
    assert ids(bus) == ["t0", "t1", "t2"]
    assert free(bus, "t1", size=9) == ""  # replaced
    bus.engine.triggers.remove("t2")
    assert free(bus, "t5") == ""
    assert len(bus.engine.triggers.ownerless) == 3


def test_their_bytes_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownerless, "MAX_BYTES", 1000)
    bus = Bus()
    assert free(bus, "a", size=400) == ""
    assert free(bus, "a", size=900) == ""
    assert free(bus, "b", size=200) == "registration_limit"
    assert free(bus, "a", size=1100) == "registration_limit"
    (kept,) = bus.engine.triggers
    assert len(kept.config) == 900
    bus.engine.triggers.remove("a")
    assert (len(bus.engine.triggers.ownerless), bus.engine.triggers.ownerless.size) == (0, 0)


def test_they_count_for_their_maker_while_they_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_REGISTRATIONS", 2)
    bus = Bus()
    maker = bus.peer("one")
    assert free(bus, "a", maker) == ""
    assert free(bus, "a", maker, size=9) == ""
    assert free(bus, "b", maker) == "registration_limit"
    assert free(bus, "b", bus.peer()) == ""
    bus.engine.triggers.remove("a")
    assert free(bus, "c", maker) == ""
    assert free(bus, "c") == ""  # another made it anew
    maker.offer("two")
    assert "two" in bus.engine.registry


def test_what_is_refused_or_taken_over_is_not_counted() -> None:
    bus = Bus()
    owner, worker = bus.peer(), bus.peer()
    owner.tell("registertriggertype", id="x", description="")
    assert free(bus, "a", worker) == ""
    owner.tell("triggerregistrationresult", id="a", error={"code": "c", "message": "m"})
    assert len(bus.engine.triggers.ownerless) == 0
    assert free(bus, "b") == ""
    worker.tell("registertrigger", id="b", trigger_type="x", function_id="f", config="cc")
    assert len(bus.engine.triggers.ownerless) == 0
    assert len(worker.session.ledger or ()) == 1
