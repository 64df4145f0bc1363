"""Who answers a function. Numbers are cases of the wire protocol §18."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from tests.support.bus import Bus, Peer, replying

from iii_sdk.protocol import WorkerTelemetry


def calls_served(bus: Bus, function_id: str, count: int, *workers: Peer) -> Counter[str]:
    """Make calls that stay open; count who got them."""
    caller = bus.peer()
    for _ in range(count):
        caller.ask(function_id)
    return Counter(w.id for w in workers for _ in w.inbox())


@pytest.mark.promise("Connections", "Instances of one program share its calls.")
def test_wire_case_47_instances_of_one_program_share_the_calls() -> None:
    bus = Bus()
    one, two = bus.peer("x"), bus.peer("x")
    for worker in (one, two):
        worker.describe(name="w", runtime="python", pid=1)
    assert calls_served(bus, "x", 100, one, two) == {one.id: 50, two.id: 50}


def test_equally_idle_members_take_turns() -> None:
    bus = Bus()
    one, two = bus.peer("x"), bus.peer("x")
    for worker in (one, two):
        worker.describe(name="w", pid=1)
    served = []
    for _ in range(4):
        bus.peer().ask("x")
        for worker in (one, two):
            for invocation in worker.inbox():
                served.append(worker.id)
                worker.answer(invocation)
    assert Counter(served) == {one.id: 2, two.id: 2}


def test_wire_cases_48_and_49_the_newest_group_leads_and_the_older_stands_by() -> None:
    bus = Bus()
    old, new = bus.peer(), bus.peer()
    old.describe(name="a", pid=1)
    new.describe(name="b", pid=2)
    old.offer("x")
    new.offer("x")
    assert calls_served(bus, "x", 10, old, new) == {new.id: 10}
    new.close()
    assert calls_served(bus, "x", 10, old) == {old.id: 10}
    again = bus.peer("x")
    old.close()
    assert calls_served(bus, "x", 1, again) == {again.id: 1}


def test_default_names_group_by_project_and_functions() -> None:
    bus = Bus()
    one, two, other = bus.peer("x", "y"), bus.peer("y", "x"), bus.peer("x")
    for pid, worker in enumerate((one, two, other)):
        worker.describe(
            name=f"host:{pid}", pid=pid, runtime="node", telemetry=WorkerTelemetry(project_name="p")
        )
    assert one.session.group == two.session.group != other.session.group
    one.describe(telemetry=None)
    assert one.session.group[:3] == ("node", "project", "")


class Unwalked(dict[str, None]):
    """A set of functions that may be looked into, but not gone through."""

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("each registration goes through all functions")


def test_a_group_is_known_without_going_through_its_functions(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = Bus()
    one, two = bus.peer(), bus.peer()
    for pid, worker in enumerate((one, two)):
        worker.describe(name=f"host:{pid}", pid=pid, runtime="node")
        worker.session.functions = Unwalked()
        worker.offer("x", "y", "z", "z")
    assert one.session.group == two.session.group
    two.tell("unregisterfunction", id="y")
    assert one.session.group != two.session.group
    two.offer("y")
    assert one.session.group == two.session.group
    told = [r.getMessage() for r in caplog.records if "takes over" in r.getMessage()]
    assert told == ["function 'x', and maybe others: host:1 takes over from host:0"]
    for worker in (one, two):
        worker.session.functions = dict.fromkeys("xyz")  # what a disconnect goes through


def test_workers_without_metadata_are_groups_of_their_own() -> None:
    bus = Bus()
    one, two = bus.peer("x"), bus.peer("x")
    assert one.session.group == (one.id,)
    assert two.session.name == two.id
    assert calls_served(bus, "x", 4, one, two) == {two.id: 4}


def test_registering_again_moves_to_the_end_and_renews_the_description() -> None:
    bus = Bus()
    one, two = bus.peer("x"), bus.peer("x")
    one.tell("registerfunction", id="x", description="renewed", metadata={"k": 1})
    function = bus.engine.registry.get("x")
    assert function is not None
    assert function.newest.description == "renewed"
    assert bytes(function.newest.metadata) == b'{"k": 1}'
    assert calls_served(bus, "x", 1, one, two) == {one.id: 1}
    assert len(function.providers) == 2


def test_the_set_of_ids_is_announced_when_it_changes() -> None:
    bus = Bus()
    changes = []
    bus.engine.registry.on_change = lambda: changes.append(
        sorted(f.id for f in bus.engine.registry)
    )
    one = bus.peer("x")
    two = bus.peer("x")
    two.tell("unregisterfunction", id="x")
    two.tell("unregisterfunction", id="x")
    two.tell("unregisterfunction", id="nobody::has")
    one.close()
    assert changes == [["x"], []]


def test_a_module_takes_the_place_of_workers_and_gives_it_back() -> None:
    bus = Bus()
    worker = bus.peer("state::get")
    bus.engine.add_function("state::get", replying(1), module="iii-state")
    bus.engine.add_function("state::get", replying(2), module="iii-state")
    assert worker.session.functions == {}
    assert bus.call("state::get") == [(2, None)]
    bus.engine.remove_function("state::get")
    bus.engine.remove_function("state::get")
    assert bus.call("state::get") == [(None, "function_not_found")]
    worker.offer("state::get")
    bus.engine.remove_function("state::get")
    assert "state::get" in bus.engine.registry


def test_counters_of_a_function() -> None:
    bus = Bus()
    worker = bus.peer("x")
    bus.call("x")
    bus.call("x")
    good, bad = worker.inbox()
    bus.clock.advance(0.5)
    worker.answer(good, result=1)
    worker.answer(bad, error={"code": "boom", "message": ""})
    function = bus.engine.registry.get("x")
    assert function is not None
    tally = function.tally
    assert (tally.calls, tally.errors, tally.nanoseconds) == (2, 1, 1_000_000_000)
    assert (bus.engine.router.counters.total, bus.engine.router.counters.errors) == (2, 1)
