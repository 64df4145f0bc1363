"""The trigger type `state`: calls functions when records change."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from iii_engine.core.engine import Engine
from iii_engine.core.fanout import Condition, Event
from iii_engine.core.placed_triggers import PlacedTriggers, read_config
from iii_engine.core.router import Call
from iii_engine.core.triggers import Trigger, TriggerType
from iii_engine.modules.base import schema
from iii_engine.modules.state.records import Change

_encode = msgspec.json.encode

#: Scope and key that a trigger wants; None stands for any.
Place: TypeAlias = tuple[str | None, str | None]


class StateConfig(Condition):
    """Which records: exact names; an absent one stands for any."""

    #: Of which scope.
    scope: str | None = None
    #: Under which key.
    key: str | None = None


class StateEvent(Struct):
    """What a handler gets. The old or the new value is null where there is no record."""

    #: The same for every event.
    type: Literal["state"]
    #: What happened.
    event_type: Literal["state:created", "state:updated", "state:deleted"]
    #: The record's scope.
    scope: str
    #: Its key.
    key: str
    #: What it was; null when it was created.
    old_value: Any
    new_value: Any


class StateEvents:
    """The triggers of the type, found by the scope and the key they want."""

    def __init__(self, engine: Engine) -> None:
        self.places: PlacedTriggers[Place] = PlacedTriggers(engine, _place_of)
        self._tracing = engine.tracing
        self.kind = TriggerType(
            "state",
            "Calls a function when a record is created, updated or deleted",
            schema(StateConfig),
            schema(StateEvent),
            bind=self.places.bind,
            unbind=self.places.unbind,
        )

    def publish(self, change: Change, cause: Call) -> None:
        """Tell whoever wants to know; events belong to the trace of the call that caused them."""
        if not self.places or not change.happened:
            return
        scope, key = change.scope, change.key
        triggers = self.places.wanting(((scope, key), (scope, None), (None, key), (None, None)))
        if triggers:
            payload = event_payload(change)
            self._deliver(
                triggers, Event(record(scope, key), payload, cause.traceparent, cause.baggage)
            )

    def deliver_at(self, place: Place, event: Event) -> None:
        """Tell those who want just this place of what happened elsewhere."""
        self._deliver(self.places.wanting((place,)), event)

    def _deliver(self, triggers: list[Trigger], event: Event) -> None:
        if not triggers:
            return
        span = self._tracing.start("state_triggers", parent=event.traceparent)
        event.traceparent = span.traceparent
        for trigger in triggers:
            self.places.fanout.deliver(trigger, event)
        span.end()


def _place_of(trigger: Trigger) -> tuple[Place, str | None]:
    config = read_config(trigger.config, StateConfig, "state")
    return (config.scope, config.key), config.function_id


def record(scope: str, key: str) -> str:
    """What events of one record have in common: handlers get them one after another."""
    return f"{len(scope)}/{scope}/{key}"


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
