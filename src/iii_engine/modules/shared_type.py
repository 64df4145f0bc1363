"""A trigger type that all instances of one module kind serve together.

Two `iii-http` on different ports are one event source with two doors: the bus knows one type, and
each trigger is bound at every instance.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from iii_engine.core.triggers import Trigger, TriggerType
from iii_sdk.errors import BusError

log = logging.getLogger("iii.modules")


class SharedType:
    """`type` is what the bus gets; `module` of it is the instance that has served it longest."""

    def __init__(self, first: TriggerType) -> None:
        self.type = replace(first, bind=self._bind, unbind=self._unbind)
        self._members = [first]

    def join(self, member: TriggerType, bound: Iterable[Trigger]) -> None:
        """Another instance serves the type, beginning with the triggers that are bound already."""
        self._members.append(member)
        for trigger in bound:
            try:
                _bind(member, trigger)
            except BusError as error:
                log.warning("%s refused trigger %s: %s", member.module, trigger.id, error.message)

    def leave(self, member: TriggerType) -> bool:
        """An instance stops, and forgets its triggers by itself. True when it was the last one."""
        self._members.remove(member)
        if self._members:
            self.type.module = self._members[0].module
        return not self._members

    def _bind(self, trigger: Trigger) -> None:
        """Bind at all instances, or at none and raise the `BusError` of the one that refuses."""
        done: list[TriggerType] = []
        for member in self._members:
            try:
                _bind(member, trigger)
            except BusError:
                for other in done:
                    _unbind(other, trigger)
                raise
            done.append(member)

    def _unbind(self, trigger: Trigger) -> None:
        for member in self._members:
            _unbind(member, trigger)


def _bind(member: TriggerType, trigger: Trigger) -> None:
    if member.bind is not None:
        member.bind(trigger)


def _unbind(member: TriggerType, trigger: Trigger) -> None:
    if member.unbind is not None:
        member.unbind(trigger)
