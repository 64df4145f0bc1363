"""Functions that decide about others: no guarded worker becomes one that nobody allowed it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.bus import Bus, Peer

from iii_engine.core.access import Rules
from iii_engine.core.filters import read_filter
from iii_engine.core.grants import Grant
from iii_engine.core.sessions import Session

AUTH = Rules(auth_function_id="auth", middleware="middleware", on_trigger="hook")
OPEN = Rules(expose=(read_filter('match("open::*")'),), middleware="own::middleware")


def bind(peer: Peer, id: str, function_id: str, **config: Any) -> None:
    peer.tell("registertrigger", id=id, trigger_type="http", function_id=function_id, config=config)


def providers(bus: Bus, function_id: str) -> list[Session | None]:
    function = bus.engine.registry.get(function_id)
    return [] if function is None else list(function.providers)


@pytest.fixture
def bus() -> Bus:
    bus = Bus()
    bus.engine.rules += [AUTH, OPEN]
    return bus


def test_a_listener_without_an_auth_function_gives_no_gatekeepers_to_others(bus: Bus) -> None:
    guest = bus.guarded(OPEN)
    guest.offer("auth", "middleware", "hook", "own::middleware")
    assert list(guest.session.functions) == ["own::middleware"]  # where all have the same rights


@pytest.mark.parametrize(
    "config",
    [
        {"middleware_function_ids": ["first", "check"]},
        {"condition_function_id": "check"},
        {"_condition_path": "check"},
    ],
)
@pytest.mark.parametrize("by_another", [False, True])
def test_what_a_trusted_trigger_asks_is_no_guarded_workers(
    bus: Bus, config: dict[str, Any], by_another: bool
) -> None:
    trusted = bus.peer("closed::f")
    maker = bus.peer() if by_another else trusted
    bind(maker, "t", "closed::f", **config)
    for rules in (OPEN, AUTH):
        guest = bus.guarded(rules)
        guest.offer("check")
        assert guest.session.functions == {}
    named = bus.guarded(AUTH, Grant(allowed_functions=frozenset({"check"})))
    named.offer("check")
    assert list(named.session.functions) == ["check"]
    maker.tell("unregistertrigger", id="t", trigger_type="http")
    guest.offer("check")
    assert guest.session.functions == {}  # it is the other's now
    named.close()
    guest.offer("check")
    assert list(guest.session.functions) == ["check"]


def test_what_guarded_triggers_ask_is_free(bus: Bus) -> None:
    maker, guest = bus.guarded(OPEN), bus.guarded(OPEN)
    bind(maker, "t", "open::f", condition_function_id="open::check")
    guest.offer("open::check")
    assert list(guest.session.functions) == ["open::check"]


@pytest.mark.promise(
    "Access control",
    "When a trusted worker registers a function that a guarded one took while nobody had it, the "
    "guarded one loses it, and does not get it back when the trusted one goes.",
)
def test_no_guarded_worker_stands_behind_a_trusted_one(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    guest, twin = bus.guarded(OPEN), bus.guarded(OPEN)
    guest.offer("pay", "mine")
    twin.offer("pay")
    assert providers(bus, "pay") == [guest.session, twin.session]
    trusted = bus.peer("pay")
    assert providers(bus, "pay") == [trusted.session]
    assert list(guest.session.functions) == ["mine"]
    assert "function 'pay' is not its own any more" in caplog.text
    trusted.close()
    assert providers(bus, "pay") == []
    guest.offer("pay")  # it may: nobody has it
    assert providers(bus, "pay") == [guest.session]


def test_workers_with_equal_rights_stay_together(bus: Bus) -> None:
    trusted = [bus.peer("pay"), bus.guarded(Rules(guarded=False, middleware="m"))]
    trusted[1].offer("pay")
    assert providers(bus, "pay") == [peer.session for peer in trusted]
