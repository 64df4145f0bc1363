"""What others rely on is provided by whom they may rely on (wire protocol 10.2 to 10.5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import pytest
from msgspec import Raw
from tests.support.bus import Bus, Peer, replying

from iii_engine.core.access import Rules
from iii_engine.core.filters import read_filter
from iii_engine.core.grants import Grant

EXPOSED: Final = (read_filter('match("open::*")'),)
#: A listener that lets everybody in, one that asks, and the function that all is about.
OPEN: Final = Rules(expose=EXPOSED)
ASKING: Final = Rules(expose=EXPOSED, auth_function_id="auth")
ID: Final = "open::x"

GUESTS: Final[dict[str, tuple[Rules, Grant]]] = {
    "open": (OPEN, Grant()),
    "asking": (ASKING, Grant()),
    "other": (ASKING, Grant(context={"user": Raw(b"2")})),
    "granted": (ASKING, Grant(allowed_functions=frozenset({ID}))),
}

ASKS: Final[dict[str, Any]] = {
    "condition": {"condition_function_id": ID},
    "path": {"_condition_path": ID},
    "middleware": {"middleware_function_ids": ["open::g", ID]},
}


def trigger(peer: Peer, named: str) -> None:
    """A trigger of this worker that asks the function, or calls it."""
    function_id = ID if named == "function" else "open::f"
    config = ASKS.get(named)
    peer.tell("registertrigger", id="t", trigger_type="x", function_id=function_id, config=config)


def by_rules(**rules: str) -> Callable[[Bus], None]:
    """A listener's rules name it."""
    return lambda bus: bus.engine.reliance.name("listener", Rules(**rules).gatekeepers)


def by_trigger(maker: str, named: str) -> Callable[[Bus], None]:
    """A trigger of a trusted worker or of a guest names it."""

    def name(bus: Bus) -> None:
        trigger(bus.peer() if maker == "trusted" else bus.guarded(*GUESTS[maker]), named)

    return name


class Case(NamedTuple):
    """Who names the function, and what becomes of workers of the party "open" that provide it.

    `new`: it comes after that; `there`: it was there before; `again`: it was, and comes back.
    """

    name: Callable[[Bus], None]
    new: bool
    there: bool
    again: bool


CASES: Final = {
    "nobody": Case(lambda bus: None, True, True, True),
    "auth": Case(by_rules(auth_function_id=ID), False, False, False),
    "a middleware": Case(by_rules(middleware=ID), False, False, False),
    "a hook of functions": Case(by_rules(on_function=ID), False, False, False),
    "a hook of triggers": Case(by_rules(on_trigger=ID), False, False, False),
    "a hook of types": Case(by_rules(on_trigger_type=ID), False, False, False),
    "a module": Case(lambda bus: bus.engine.reliance.name("iii-http", {ID}), False, False, False),
    "a trusted condition": Case(by_trigger("trusted", "condition"), False, False, False),
    "a trusted path": Case(by_trigger("trusted", "path"), False, False, False),
    "a trusted route": Case(by_trigger("trusted", "middleware"), False, False, False),
    "a trusted trigger": Case(by_trigger("trusted", "function"), False, True, True),
    "another's condition": Case(by_trigger("other", "condition"), False, True, True),
    "another's path": Case(by_trigger("other", "path"), False, True, True),
    "another's route": Case(by_trigger("other", "middleware"), False, True, True),
    "another's trigger": Case(by_trigger("other", "function"), True, True, True),
    "its own condition": Case(by_trigger("open", "condition"), True, True, True),
    "its own path": Case(by_trigger("open", "path"), True, True, True),
    "its own route": Case(by_trigger("open", "middleware"), True, True, True),
    "its own trigger": Case(by_trigger("open", "function"), True, True, True),
}

cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@pytest.fixture
def bus() -> Bus:
    bus = Bus()
    bus.peer("open::f", "open::g", "auth")
    return bus


def guest(bus: Bus, party: str = "open") -> Peer:
    """A worker of that party, which registers the function."""
    peer = bus.guarded(*GUESTS[party])
    peer.offer(ID)
    return peer


def provides(bus: Bus, peer: Peer) -> bool:
    function = bus.engine.registry.get(ID)
    assert (ID in peer.session.functions) is (
        function is not None and peer.session in function.providers
    )
    return ID in peer.session.functions


@cases
@pytest.mark.promise(
    "Access control",
    "What listeners, modules or other parties' triggers ask is provided by no guarded worker whose "
    "auth function did not name it.",
)
def test_a_guarded_worker_comes_after_it_was_named(bus: Bus, case: Case) -> None:
    case.name(bus)
    assert provides(bus, guest(bus)) is case.new


@cases
def test_a_guarded_worker_was_there_when_it_was_named(bus: Bus, case: Case) -> None:
    peer = guest(bus)
    case.name(bus)
    assert provides(bus, peer) is case.there


@cases
def test_a_guarded_worker_that_was_there_comes_back(bus: Bus, case: Case) -> None:
    peer = guest(bus)
    case.name(bus)
    peer.close()
    assert provides(bus, guest(bus)) is case.again


@cases
def test_who_is_granted_it_by_name_and_who_is_trusted_may_always(bus: Bus, case: Case) -> None:
    early = guest(bus, "granted")
    case.name(bus)
    assert provides(bus, early)
    early.close()
    late = guest(bus, "granted")
    assert provides(bus, late)
    trusted = bus.peer(ID)
    assert provides(bus, trusted)


@cases
@pytest.mark.promise(
    "Access control",
    "When a trusted worker registers a function that a guarded one took while nobody had it, the "
    "guarded one loses it, and does not get it back when the trusted one goes.",
)
def test_no_guarded_worker_takes_the_place_of_a_trusted_one(bus: Bus, case: Case) -> None:
    parties = [guest(bus, party) for party in ("open", "granted")]
    case.name(bus)
    trusted = bus.peer(ID)
    function = bus.engine.registry.get(ID)
    assert function is not None
    assert list(function.providers) == [trusted.session]
    trusted.close()
    assert ID not in bus.engine.registry
    assert not any(provides(bus, peer) for peer in parties)


@cases
@pytest.mark.parametrize("party", ["asking", "other"])
def test_parties_do_not_profit_from_who_was_there(bus: Bus, case: Case, party: str) -> None:
    guest(bus).close()
    case.name(bus)
    peer = guest(bus, party)
    free = [CASES[name] for name in ("nobody", "another's trigger", "its own trigger")]
    own = [CASES[f"another's {name}"] for name in ("condition", "path", "route")]
    assert provides(bus, peer) is (case in free or (party == "other" and case in own))


def test_what_trusted_workers_had_is_theirs_while_a_trigger_calls_it(bus: Bus) -> None:
    guest(bus)
    trigger(bus.peer(), "function")
    bus.peer(ID).close()
    assert not provides(bus, guest(bus))


def test_trusted_workers_of_all_listeners_stay_together(bus: Bus) -> None:
    peers = [bus.peer(), bus.guarded(Rules(guarded=False, middleware=ID)), bus.peer()]
    for peer in peers:
        peer.offer(ID)
    assert all(provides(bus, peer) for peer in peers)


def test_what_is_named_no_more_is_free(bus: Bus) -> None:
    owner = bus.peer()
    trigger(owner, "condition")
    bus.engine.reliance.name("m", {ID, "y"})
    assert not provides(bus, guest(bus))
    bus.engine.reliance.name("m", {"y"})
    assert not provides(bus, guest(bus))
    owner.tell("unregistertrigger", id="t")
    assert provides(bus, guest(bus))
    stranger = bus.guarded(OPEN)
    stranger.offer("y")
    assert stranger.session.functions == {}
    bus.engine.reliance.name("m", ())
    stranger.offer("y")
    assert list(stranger.session.functions) == ["y"]


def test_a_trigger_that_a_trusted_worker_makes_its_own_counts_as_trusted(bus: Bus) -> None:
    peer = guest(bus)
    trigger(peer, "condition")
    assert provides(bus, peer)
    trigger(bus.peer(), "condition")
    assert not provides(bus, peer)


def test_one_trigger_may_both_ask_and_call_it(bus: Bus) -> None:
    owner = bus.peer()
    config = {"condition_function_id": ID, "middleware_function_ids": [ID]}
    owner.tell("registertrigger", id="t", trigger_type="x", function_id=ID, config=config)
    assert not provides(bus, guest(bus))
    owner.close()
    assert provides(bus, guest(bus))


def test_a_function_of_a_module_is_nobody_else_s(bus: Bus) -> None:
    bus.engine.add_function(ID, replying(1), module="m")
    bus.engine.reliance.name("listener", {ID})
    assert not provides(bus, guest(bus))
    assert ID in bus.engine.registry


@pytest.mark.promise(
    "Access control",
    "While a trusted worker is away no guarded one takes its functions, nor calls and jobs that "
    "wait for them, unless its auth function names them (as long as the engine runs).",
)
def test_what_a_trusted_worker_had_waits_for_it_while_it_is_away(bus: Bus) -> None:
    bus.peer(ID).close()
    assert not provides(bus, guest(bus))
    granted = guest(bus, "granted")
    assert provides(bus, granted)
    granted.close()
    assert provides(bus, guest(bus))  # its auth function has given it away


def test_a_guest_that_comes_and_goes_makes_nobody_forget_whose_a_function_was(bus: Bus) -> None:
    bus.peer(ID).close()
    peer = guest(bus)
    for number in range(10_001):
        peer.offer(f"open::{number}")
        peer.tell("unregisterfunction", id=f"open::{number}")
    assert not provides(bus, peer)


def test_the_log_says_who_lost_what_and_why(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    peer = guest(bus)
    peer.describe(name="guest")
    by_rules(auth_function_id=ID)(bus)
    peer.offer(ID)
    reason = "the configuration relies on it, and its auth function does not allow it by name"
    assert caplog.messages == [
        f"worker guest: function 'open::x' is taken from it: {reason}",
        f"worker guest: function 'open::x' is not registered: {reason}",
    ]


def test_calls_under_way_end_and_others_find_nobody(bus: Bus) -> None:
    peer, caller = guest(bus), bus.peer()
    caller.ask(ID)
    call = peer.only()
    by_rules(auth_function_id=ID)(bus)
    peer.answer(call, result=1)
    caller.ask(ID)
    assert caller.received() == [1, "function_not_found"]
