"""All triggers, found by id and by type: one that comes or goes must not look at every trigger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from iii_engine.core.reliance import Reliance

if TYPE_CHECKING:
    from iii_engine.core.triggers import Trigger


class TriggerIndex:
    """Keeps the order in which triggers came."""

    def __init__(self, reliance: Reliance) -> None:
        self._reliance = reliance
        self._by_id: dict[str, Trigger] = {}
        self._by_type: dict[str, dict[Trigger, int]] = {}
        self._count = 0

    def __iter__(self) -> Iterator[Trigger]:
        return iter(self._by_id.values())

    def __contains__(self, trigger: Trigger) -> bool:
        return self._by_id.get(trigger.id) is trigger

    def get(self, trigger_id: str) -> Trigger | None:
        return self._by_id.get(trigger_id)

    def put(self, trigger: Trigger) -> None:
        """Take a trigger in whose id is free."""
        self._count += 1
        self._by_id[trigger.id] = trigger
        self._by_type.setdefault(trigger.type, {})[trigger] = self._count
        self._reliance.heed(trigger)

    def pop(self, trigger_id: str) -> Trigger | None:
        """Take a trigger out; None when there is none."""
        trigger = self._by_id.pop(trigger_id, None)
        if trigger is None:
            return None
        found = self._by_type[trigger.type]
        del found[trigger]
        if not found:
            del self._by_type[trigger.type]
        self._reliance.forget(trigger)
        return trigger

    def of_types(self, names: Iterable[str]) -> list[Trigger]:
        """Those whose type has one of these names, oldest first."""
        numbered = [pair for name in names for pair in self._by_type.get(name, {}).items()]
        return [trigger for trigger, _ in sorted(numbered, key=_number)]


def _number(pair: tuple[Trigger, int]) -> int:
    return pair[1]
