"""All triggers, found by id, by type and by the functions that they have the engine call.

A type that comes or goes, and a function that gets a provider, must not look at every trigger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

if TYPE_CHECKING:
    from iii_engine.core.triggers import Trigger

#: The fields of a config, of whatever trigger type, whose functions the engine calls by itself.
CALLED: Final = ("condition_function_id", "_condition_path", "middleware_function_ids")


class TriggerIndex:
    """Keeps the order in which triggers came."""

    def __init__(self) -> None:
        self._by_id: dict[str, Trigger] = {}
        self._by_type: dict[str, dict[Trigger, int]] = {}
        self._reaching: dict[str, dict[Trigger, None]] = {}  # of guarded makers only
        self._asking: dict[str, dict[Trigger, None]] = {}  # of trusted ones, but for their function
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
        self.heed(trigger)

    def heed(self, trigger: Trigger) -> None:
        """Note what a trigger reaches, now or anew, by the rights that it goes by."""
        if _is_trusted(trigger):
            for _, function_id in named_functions(trigger.config):
                self._asking.setdefault(function_id, {})[trigger] = None
        else:
            for function_id in _reached(trigger):
                self._reaching.setdefault(function_id, {})[trigger] = None

    def pop(self, trigger_id: str) -> Trigger | None:
        """Take a trigger out; None when there is none."""
        trigger = self._by_id.pop(trigger_id, None)
        if trigger is None:
            return None
        _drop(self._by_type, trigger.type, trigger)
        for function_id in _reached(trigger) if self._reaching or self._asking else ():
            _drop(self._reaching, function_id, trigger)
            _drop(self._asking, function_id, trigger)
        return trigger

    def of_types(self, names: Iterable[str]) -> list[Trigger]:
        """Those whose type has one of these names, oldest first."""
        numbered = [pair for name in names for pair in self._by_type.get(name, {}).items()]
        return [trigger for trigger, _ in sorted(numbered, key=_number)]

    def reaching(self, function_id: str) -> list[Trigger]:
        """Those of guarded makers that have the engine call this function."""
        return list(self._reaching.get(function_id, ()))

    def asks(self, function_id: str) -> bool:
        """Whether there is one of a trusted maker that asks this function."""
        return any(map(_is_trusted, self._asking.get(function_id, ())))


def named_functions(config: Raw) -> Iterator[tuple[str, str]]:
    """The functions that a trigger's config has the engine call, each after the field's name.

    The fields are read one by one: what is wrong with one must not hide another.
    """
    try:
        fields = msgspec.json.decode(config, type=dict[str, Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return  # no type of ours takes a config that is no object
    for name in CALLED:
        try:
            value = msgspec.json.decode(fields.get(name, b"null"), type=str | list[str] | None)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # nor a field that is neither an id nor several
        for function_id in [value] if isinstance(value, str) else value or ():
            if function_id:
                yield name, function_id


def _is_trusted(trigger: Trigger) -> bool:
    return trigger.access is None or not trigger.access.rules.guarded


def _reached(trigger: Trigger) -> set[str]:
    return {trigger.function_id, *(named for _, named in named_functions(trigger.config))}


def _number(pair: tuple[Trigger, int]) -> int:
    return pair[1]


def _drop(
    index: dict[str, dict[Trigger, int]] | dict[str, dict[Trigger, None]],
    key: str,
    trigger: Trigger,
) -> None:
    found = index.get(key)
    if found is not None:
        found.pop(trigger, None)
        if not found:
            del index[key]
