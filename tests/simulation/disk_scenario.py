"""One run of the state module on a disk that fails: what was acknowledged stays, what was refused
never shows."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from copy import deepcopy
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw
from tests.simulation.book import expect
from tests.simulation.disk import Disk
from tests.simulation.world import Violation, World

from iii_engine.core.clock import SeededIds
from iii_engine.core.engine import Engine
from iii_engine.core.router import Call
from iii_engine.core.triggers import Trigger
from iii_engine.modules.base import Host
from iii_engine.modules.state import StateModule
from iii_engine.modules.state.options import StateOptions
from iii_engine.storage.memory import Maps
from iii_sdk.protocol import NULL, ErrorBody

#: scope → key → record
Records: TypeAlias = dict[str, dict[str, Any]]
Change: TypeAlias = dict[str, Any]

CHANGES = 150
SCOPES = ("a", "b")


class DiskScenario:
    """`records` is what was acknowledged; `under_way` is what was asked and not answered yet."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.maps = Maps()
        self.records: Records = {scope: {} for scope in SCOPES}
        self.under_way: deque[list[Change]] = deque()
        self.expected_events: list[Any] = []
        self.events: list[Any] = []
        self.crashes = self.refused = self.acknowledged = 0
        self._start()

    def run(self) -> DiskScenario:
        """Raises `Violation` with the seed and what happened last."""
        try:
            for _ in range(CHANGES):
                self.world.after(self.world.chance.uniform(0, 3), self._change)
            self.world.run()
            self._compare()
            expect("unanswered", list(self.under_way), [])
        except Exception as problem:
            raise self.world.failed(problem) from problem
        return self

    # -- the process -----------------------------------------------------------------------------

    def _start(self) -> None:
        self.engine = Engine(self.world, SeededIds(self.world.chance.getrandbits(64)))
        disk = Disk(self.world, self.maps, self._crash)
        # The module starts without waiting for anything, so that it needs no loop.
        host = Host(self.engine, disk, None)  # type: ignore[arg-type]
        finish(StateModule("iii-state", StateOptions(), host).start())
        self.engine.add_function("watch", self._watch, module="simulation")
        self.engine.triggers.add(Trigger("t", "state", "watch", NULL, NULL, None))

    def _crash(self) -> None:
        """The process ends in the middle of a commit; the next one finds what is on the disk."""
        self.world.note("crash")
        self.crashes += 1
        self.events.clear()
        self.expected_events.clear()
        self._start()
        found = self._stored()
        while found != self.records:  # the first of those not answered, in order, may be there
            if not self.under_way:
                raise Violation(f"found {found} and it must be {self.records}")
            self.records, _ = all_or_nothing(self.records, self.under_way.popleft())
        self.under_way.clear()

    def _watch(self, call: Call) -> None:
        self.events.append(msgspec.json.decode(call.data))
        call.reply()

    # -- changes ---------------------------------------------------------------------------------

    def _change(self) -> None:
        chance = self.world.chance
        several = chance.random() < 0.3
        changes = [self._one() for _ in range(chance.randint(1, 4) if several else 1)]
        for change in changes if several else ():
            if change["op"] != "update" and chance.random() < 0.2:
                change["expect"] = {"n": chance.randrange(3)}
        function_id = "state::transact" if several else f"state::{changes[0]['op']}"
        payload = {"ops": changes} if several else changes[0]
        self.under_way.append(changes)
        engine = self.engine

        def answered(result: Raw, error: ErrorBody | None) -> None:
            if engine is not self.engine:
                raise Violation("an answer of a process that is gone")
            expect("answered in order", self.under_way.popleft() is changes, True)
            self._answered(changes, several, result, error)

        engine.call(function_id, msgspec.json.encode(payload), answered)
        self._compare()

    def _one(self) -> Change:
        chance = self.world.chance
        op = chance.choice(("set", "set", "update", "update", "delete"))
        change = {"op": op, "scope": chance.choice(SCOPES), "key": f"k{chance.randrange(6)}"}
        if op == "set":
            change["value"] = {"n": chance.randrange(3)}
        elif op == "update":
            change["ops"] = [{"type": "increment", "path": "n", "by": 1}]
        return change

    def _answered(
        self, changes: list[Change], several: bool, result: Raw, error: ErrorBody | None
    ) -> None:
        if error is not None:
            self.refused += 1
            self.world.note(f"refused: {error.message}")
            return
        answer = msgspec.json.decode(result)
        self.records, outcomes = all_or_nothing(self.records, changes)
        if several:
            expect("applied", answer["applied"], outcomes is not None)
        self.acknowledged += 1
        for change, (old, new) in zip(changes, outcomes or (), strict=outcomes is not None):
            if change["op"] != "delete" or old is not None:
                self.expected_events.append((change["scope"], change["key"], old, new))
        self.world.note(f"acknowledged: {changes}")
        self.world.after(0, self._compare)

    # -- what must hold --------------------------------------------------------------------------

    def _compare(self) -> None:
        """At every moment the store shows what was acknowledged, and nothing else."""
        expect("records", self._stored(), self.records)
        events = [(e["scope"], e["key"], e["old_value"], e["new_value"]) for e in self.events]
        expect("events", events, self.expected_events)

    def _stored(self) -> Records:
        found: Records = {}
        for scope in SCOPES:
            answers: list[Any] = []
            payload = msgspec.json.encode({"scope": scope, "include_keys": True})
            self.engine.call(
                "state::list",
                payload,
                lambda result, _: answers.append(result),  # noqa: B023  (called before it returns)
            )
            items = msgspec.json.decode(answers[0])
            found[scope] = {item["key"]: item["value"] for item in items}
        return found


def all_or_nothing(
    records: Records, changes: list[Change]
) -> tuple[Records, list[tuple[Any, Any]] | None]:
    """The records afterwards, and each one before and after; None when nothing was done."""
    draft, outcomes = deepcopy(records), []
    for change in changes:
        outcome = made(draft, change)
        if outcome is None:
            return records, None
        outcomes.append(outcome)
    return draft, outcomes


def made(records: Records, change: Change) -> tuple[Any, Any] | None:
    """Make a change; the record before and after, or None when it did not apply."""
    scope, key = records[change["scope"]], change["key"]
    old = scope.get(key)
    wanted = change.get("expect")
    if wanted is not None and (old or {"n": None})["n"] != wanted["n"]:
        return None
    match change["op"]:
        case "set":
            scope[key] = change["value"]
        case "update":
            scope[key] = {"n": (old or {"n": 0})["n"] + 1}
        case "delete":
            scope.pop(key, None)
    return old, scope.get(key)


def finish(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise asyncio.InvalidStateError("it waits for something")
