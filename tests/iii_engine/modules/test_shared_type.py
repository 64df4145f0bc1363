"""Instances of one kind share a trigger type: bound at all of them, or at none."""

from __future__ import annotations

import pytest
from msgspec import Raw

from iii_engine.core.triggers import Trigger, TriggerType
from iii_engine.modules.shared_type import SharedType
from iii_sdk.errors import InvalidInput
from iii_sdk.protocol import NULL


class Member:
    """One instance; it refuses the triggers whose ids are in `refused`."""

    def __init__(self, module: str, *refused: str) -> None:
        self.bound: list[str] = []
        self.refused = refused
        self.type = TriggerType("t", module=module, bind=self._bind, unbind=self._unbind)

    def _bind(self, trigger: Trigger) -> None:
        if trigger.id in self.refused:
            raise InvalidInput("no")
        self.bound.append(trigger.id)

    def _unbind(self, trigger: Trigger) -> None:
        self.bound.remove(trigger.id)


def trigger(id: str) -> Trigger:
    return Trigger(id, "t", "f", Raw(b"{}"), NULL, None)


def bind(shared: SharedType, id: str) -> None:
    assert shared.type.bind is not None
    shared.type.bind(trigger(id))


def test_what_one_refuses_is_bound_nowhere() -> None:
    first, second = Member("m"), Member("m#1", "b")
    shared = SharedType(first.type)
    shared.join(second.type, [])
    bind(shared, "a")
    with pytest.raises(InvalidInput):
        bind(shared, "b")
    assert first.bound == second.bound == ["a"]


def test_who_joins_gets_what_is_bound_except_what_it_refuses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second = Member("m"), Member("m#1", "b")
    shared = SharedType(first.type)
    shared.join(second.type, [trigger("a"), trigger("b"), trigger("c")])
    assert second.bound == ["a", "c"]
    assert caplog.messages == ["m#1 refused trigger b: no"]


def test_the_type_belongs_to_the_one_that_has_served_it_longest() -> None:
    first, second = Member("m"), Member("m#1")
    shared = SharedType(first.type)
    shared.join(second.type, [])
    assert not shared.leave(first.type)
    assert shared.type.module == "m#1"
    bind(shared, "a")
    assert (first.bound, second.bound) == ([], ["a"])
    assert shared.leave(second.type)
