"""The adapter `bridge`: the records, and with them the events, of another engine.

Events come from the other engine alone, also those of changes that were made through this one: so
each change is heard of once, whoever made it.
"""

from __future__ import annotations

from functools import partial

import msgspec
from msgspec import Struct

from iii_engine.core.engine import Engine
from iii_engine.core.fanout import Event
from iii_engine.modules.bridge.remote import RemoteModule
from iii_engine.modules.state.events import Place, StateConfig, StateEvents, record
from iii_sdk.protocol import InvokeFunction


class _Record(Struct):
    """Which record an event is about."""

    scope: str
    key: str


class RemoteState(RemoteModule):
    """Subscribes to the places of records that triggers of this engine want."""

    def __init__(self, engine: Engine, url: str, events: StateEvents) -> None:
        super().__init__(engine, url)
        self._events = events
        self._places: dict[Place, str] = {}
        events.places.on_place = self._on_place

    def _on_place(self, place: Place, wanted: bool) -> None:
        if wanted:
            scope, key = place
            config = msgspec.json.encode(StateConfig(scope=scope, key=key))
            self._places[place] = self.hear("state", config, partial(self._on_event, place))
        else:
            self.ignore(self._places.pop(place))

    def _on_event(self, place: Place, message: InvokeFunction) -> None:
        about = msgspec.json.decode(message.data, type=_Record)
        self._events.deliver_at(
            place,
            Event(
                record(about.scope, about.key),
                bytes(message.data),
                message.traceparent,
                message.baggage,
            ),
        )
