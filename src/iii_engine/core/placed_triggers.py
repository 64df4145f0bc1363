"""Triggers of a type, found by the place that each wants to hear of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import msgspec
from msgspec import Raw

from iii_engine.core.engine import Engine
from iii_engine.core.fanout import Condition, Fanout
from iii_engine.core.triggers import Trigger
from iii_sdk.errors import BusError
from iii_sdk.protocol import is_null

C = TypeVar("C", bound=Condition)
#: Names, and None for any name.
P = TypeVar("P", bound=tuple[str | None, ...])


class PlacedTriggers(Generic[P]):
    """`bind` and `unbind` are for the trigger type; `place_of` reads what a trigger wants.

    An event is for the triggers of several places.
    """

    def __init__(self, engine: Engine, place_of: Callable[[Trigger], tuple[P, str | None]]) -> None:
        """`place_of` answers the place and the condition function, or raises `BusError`."""
        self.fanout = Fanout(engine)
        self._place_of = place_of
        self._wanted: dict[P, dict[Trigger, None]] = {}
        self._place: dict[Trigger, P] = {}
        #: Told of a place that the first trigger wants, and the last one no more.
        self.on_place: Callable[[P, bool], None] = lambda place, wanted: None

    def __bool__(self) -> bool:
        return bool(self._wanted)

    def bind(self, trigger: Trigger) -> None:
        place, condition = self._place_of(trigger)
        if place not in self._wanted:
            self._wanted[place] = {}
            self.on_place(place, True)
        self._place[trigger] = place
        self._wanted[place][trigger] = None
        self.fanout.add(trigger, condition)

    def unbind(self, trigger: Trigger) -> None:
        place = self._place.pop(trigger, None)
        if place is None:
            return
        del self._wanted[place][trigger]
        if not self._wanted[place]:
            del self._wanted[place]
            self.on_place(place, False)
        self.fanout.remove(trigger)

    def wanting(self, places: Iterable[P]) -> list[Trigger]:
        """The triggers of all these places."""
        wanted = self._wanted
        return [trigger for place in places for trigger in wanted.get(place, ())]


def read_config(config: Raw, kind: type[C], noun: str) -> C:
    """The config of a trigger; null counts as `{}`. Raises `BusError` that names the wrong field.

    `noun` is the kind of trigger, for the message.
    """
    try:
        return msgspec.json.decode(b"{}" if is_null(config) else config, type=kind)
    except msgspec.DecodeError as error:
        raise BusError(f"config of a {noun} trigger: {error}", code="invalid_config") from None
