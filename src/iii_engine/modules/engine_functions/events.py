"""The trigger types `engine::functions-available` and `engine::workers-available`."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.json import encode

from iii_engine.core.engine import Engine
from iii_engine.core.fanout import Condition, Event, Fanout
from iii_engine.core.triggers import Trigger, TriggerType
from iii_engine.core.turns import Pieces, Turns
from iii_engine.modules.base import schema
from iii_engine.modules.engine_functions.functions import (
    FunctionRow,
    FunctionsQuery,
    list_functions,
)

log = logging.getLogger("iii.engine")

#: How the payload of `functions-available` begins.
CHANGED: Final = b'{"event":"functions_changed","functions":['

#: Changes within this time are told together, in seconds.
COALESCE_SECONDS = 0.2


class AnyConfig(Struct):
    """These types take no options; whatever is given is ignored."""


class FunctionsChanged(Struct):
    event: str
    functions: list[FunctionRow]


class WorkerEvent(Struct):
    """`event` is `worker_connected`, `worker_disconnected` or `worker_metadata_updated`."""

    event: str
    worker_id: str


class Source:
    """A trigger type of the engine with the triggers bound to it."""

    def __init__(self, engine: Engine, id: str, description: str, payload: type[Struct]) -> None:
        self._engine = engine
        self._fanout = Fanout(engine)
        self.triggers: dict[str, Trigger] = {}
        self.type = TriggerType(
            id,
            description,
            schema(AnyConfig),
            schema(payload),
            bind=self._bind,
            unbind=self._unbind,
        )

    def _bind(self, trigger: Trigger) -> None:
        self.triggers[trigger.id] = trigger
        self._fanout.add(trigger, _condition(trigger))

    def _unbind(self, trigger: Trigger) -> None:
        if self.triggers.pop(trigger.id, None) is not None:
            self._fanout.remove(trigger)

    def fire(self, trigger: Trigger, payload: bytes) -> None:
        """Call the trigger's function, if it is still bound."""
        if self.triggers.get(trigger.id) is trigger:
            self._fanout.deliver(trigger, Event(None, payload))


def _condition(trigger: Trigger) -> str | None:
    """The function that is asked before each event. Anything else in a config is ignored."""
    try:
        return msgspec.json.decode(trigger.config, type=Condition).function_id
    except msgspec.DecodeError:
        return None


class FunctionsAvailable(Source):
    """Fires when the set of function ids has changed, `COALESCE_SECONDS` after the first change.

    Each trigger is told what its maker may call.
    """

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop, turns: Turns) -> None:
        super().__init__(
            engine,
            "engine::functions-available",
            "A function was registered or is gone",
            FunctionsChanged,
        )
        self._loop = loop
        self._turns = turns
        self._timer: asyncio.TimerHandle | None = None
        self._told: frozenset[str] = frozenset()
        #: Who is to be told; one of them is told at a time, of what there is by then.
        self._due: dict[Trigger, None] = {}
        self._telling = False

    def start(self) -> None:
        self._told = self._ids()
        self._engine.registry.on_change = self._changed

    def stop(self) -> None:
        self._engine.registry.on_change = _nothing
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _ids(self) -> frozenset[str]:
        return frozenset(function.id for function in self._engine.registry)

    def _changed(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(COALESCE_SECONDS, self._tell)

    def _tell(self) -> None:
        self._timer = None
        ids = self._ids()
        if ids == self._told:
            return
        self._told = ids
        self._due.update(dict.fromkeys(self.triggers.values()))
        if not self._telling:
            self._tell_next()

    def _tell_next(self) -> None:
        self._telling = bool(self._due)
        if self._telling:
            trigger = next(iter(self._due))
            del self._due[trigger]
            self._turns.later(partial(self._payload, trigger), partial(self._made, trigger))

    def _payload(self, trigger: Trigger) -> Pieces[bytes]:
        return list_functions(self._engine, FunctionsQuery(), trigger.access, CHANGED)

    def _made(self, trigger: Trigger, payload: bytes | None, error: BaseException | None) -> None:
        try:
            if payload is not None:
                self.fire(trigger, payload)
        except Exception as fault:  # noqa: BLE001  (logged; the others are told)
            error = fault
        if error is not None:
            log.error("%s is not told of the functions", trigger.function_id, exc_info=error)
        self._tell_next()


class WorkersAvailable(Source):
    """Fires when a worker comes, goes, or says who it is."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(
            engine,
            "engine::workers-available",
            "A worker connected, left, or told its metadata",
            WorkerEvent,
        )

    def start(self) -> None:
        self._engine.on_worker_event = self._tell

    def stop(self) -> None:
        self._engine.on_worker_event = _nothing

    def _tell(self, event: str, worker_id: str) -> None:
        for trigger in list(self.triggers.values()):
            self.fire(trigger, encode(WorkerEvent(event, worker_id)))


def _nothing(*_: str) -> None:
    pass
