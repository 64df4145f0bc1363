"""The trigger type `state`: calls functions when records change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct

from iii_engine.core.engine import Engine
from iii_engine.core.fanout import Condition, Event, Fanout
from iii_engine.core.router import Call
from iii_engine.core.triggers import Trigger, TriggerType
from iii_engine.modules.base import schema
from iii_engine.modules.state.records import Change
from iii_sdk.errors import BusError
from iii_sdk.protocol import is_null

_encode = msgspec.json.encode

#: Scope and key that a trigger wants; None stands for any.
Place: TypeAlias = tuple[str | None, str | None]


class StateConfig(Condition):
    """Which records: exact names; an absent one stands for any."""

    scope: str | None = None
    key: str | None = None


class StateEvent(Struct):
    """What a handler gets. The old or the new value is null where there is no record."""

    type: Literal["state"]
    event_type: Literal["state:created", "state:updated", "state:deleted"]
    scope: str
    key: str
    old_value: Any
    new_value: Any


class StateEvents:
    """The triggers of the type, found by the scope and the key they want."""

    def __init__(self, engine: Engine) -> None:
        self.fanout = Fanout(engine)
        self._tracing = engine.tracing
        self._wanted: dict[Place, dict[Trigger, None]] = {}
        self._place: dict[Trigger, Place] = {}
        #: Told of a place that the first trigger wants, and the last one no more.
        self.on_place: Callable[[Place, bool], None] = lambda place, wanted: None
        self.kind = TriggerType(
            "state",
            "Calls a function when a record is created, updated or deleted",
            schema(StateConfig),
            schema(StateEvent),
            bind=self._bind,
            unbind=self._unbind,
        )

    def _bind(self, trigger: Trigger) -> None:
        config = read_config(trigger.config)
        place = (config.scope, config.key)
        if place not in self._wanted:
            self._wanted[place] = {}
            self.on_place(place, True)
        self._place[trigger] = place
        self._wanted[place][trigger] = None
        self.fanout.add(trigger, config.function_id)

    def _unbind(self, trigger: Trigger) -> None:
        place = self._place.pop(trigger, None)
        if place is None:
            return
        del self._wanted[place][trigger]
        if not self._wanted[place]:
            del self._wanted[place]
            self.on_place(place, False)
        self.fanout.remove(trigger)

    def publish(self, change: Change, cause: Call) -> None:
        """Tell whoever wants to know; events belong to the trace of the call that caused them."""
        wanted = self._wanted
        if not wanted or not change.happened:
            return
        scope, key = change.scope, change.key
        triggers = [
            trigger
            for place in ((scope, key), (scope, None), (None, key), (None, None))
            for trigger in wanted.get(place, ())
        ]
        if triggers:
            payload = event_payload(change)
            self._deliver(
                triggers, Event(record(scope, key), payload, cause.traceparent, cause.baggage)
            )

    def deliver_at(self, place: Place, event: Event) -> None:
        """Tell those who want just this place of what happened elsewhere."""
        self._deliver(list(self._wanted.get(place, ())), event)

    def _deliver(self, triggers: list[Trigger], event: Event) -> None:
        if not triggers:
            return
        span = self._tracing.start("state_triggers", parent=event.traceparent)
        event.traceparent = span.traceparent
        for trigger in triggers:
            self.fanout.deliver(trigger, event)
        span.end()


def record(scope: str, key: str) -> str:
    """What events of one record have in common: handlers get them one after another."""
    return f"{len(scope)}/{scope}/{key}"


def read_config(config: Raw) -> StateConfig:
    """Raises `BusError` that names the wrong field."""
    if is_null(config):
        return StateConfig()
    try:
        return msgspec.json.decode(config, type=StateConfig)
    except msgspec.DecodeError as error:
        raise BusError(f"config of a state trigger: {error}", code="invalid_config") from None


def event_payload(change: Change) -> bytes:
    if change.new is None:
        event = b"deleted"
    else:
        event = b"created" if change.old is None else b"updated"
    return b"".join(
        (
            b'{"type":"state","event_type":"state:',
            event,
            b'","scope":',
            _encode(change.scope),
            b',"key":',
            _encode(change.key),
            b',"old_value":',
            change.old or b"null",
            b',"new_value":',
            change.new or b"null",
            b"}",
        )
    )
