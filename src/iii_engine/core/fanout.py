"""Delivery of events to the triggers that want them.

Whoever causes an event never waits. For one trigger and one key, events are delivered one after
another in the order they came; other keys and other triggers run at the same time, and so do all
events without a key. What waits for a trigger is bounded: when too much does, the oldest goes.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from msgspec import Raw, Struct, field

from iii_engine.core.engine import Engine
from iii_engine.core.router import OnAnswer
from iii_engine.core.shown import shown
from iii_engine.core.triggers import Trigger
from iii_sdk.protocol import ErrorBody

log = logging.getLogger("iii.triggers")

#: Events of one trigger that may wait; one more drops the oldest.
MAX_WAITING: Final = 1000

#: Deliveries of one trigger, each of its own key, that may run at the same time.
MAX_RUNNING: Final = 1000


class Condition(Struct):
    """The part of any trigger's config that may hold its deliveries back (modules 2.2)."""

    #: A function that is asked before each delivery; where it answers false there is none.
    condition_function_id: str | None = None
    #: The same under its older name.
    condition_path: str | None = field(default=None, name="_condition_path")

    @property
    def function_id(self) -> str | None:
        return self.condition_function_id or self.condition_path


class Event(Struct, eq=False):
    """What happened: JSON bytes for the handler, and the trace it belongs to.

    Several triggers may be given the same event, each of them once.
    """

    key: str | None
    payload: bytes
    traceparent: str | None = None
    baggage: str | None = None


class Lane:
    """The events of one trigger. A key is in `followers` from its first event to its last."""

    __slots__ = ("condition", "draining", "followers", "ready", "running", "trigger", "waiting")

    def __init__(self, trigger: Trigger, condition: str | None) -> None:
        self.trigger = trigger
        self.condition = condition
        self.followers: dict[str, deque[Event]] = {}  # by key: those behind its first
        self.ready: dict[Event, None] = {}  # may start
        self.waiting: dict[Event, None] = {}  # not started, oldest first
        self.running = 0
        self.draining = False


class Fanout:
    """Calls the functions of triggers. One per module; `add` a trigger before delivering to it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lanes: dict[Trigger, Lane] = {}
        #: Events that were thrown away because too many waited (`iii.triggers.dropped`).
        self.dropped = 0

    def add(self, trigger: Trigger, condition: str | None = None) -> None:
        """Deliver to this trigger from now on, asking the function `condition` before each."""
        self._lanes[trigger] = Lane(trigger, condition)

    def remove(self, trigger: Trigger) -> None:
        """Forget the trigger and what waits for it; calls under way end by themselves."""
        lane = self._lanes.pop(trigger, None)
        if lane is not None:
            lane.ready.clear()
            lane.waiting.clear()
            lane.followers.clear()

    def waiting(self, trigger: Trigger) -> int:
        """How many events of the trigger have not started."""
        lane = self._lanes.get(trigger)
        return 0 if lane is None else len(lane.waiting)

    def running(self, trigger: Trigger) -> int:
        """How many events of the trigger are being handled."""
        lane = self._lanes.get(trigger)
        return 0 if lane is None else lane.running

    def deliver(self, trigger: Trigger, event: Event) -> None:
        """Hand the event to the trigger's function, now or in its turn.

        Nothing follows when the trigger is gone: a handler of the same event may have removed it.
        """
        lane = self._lanes.get(trigger)
        if lane is None:
            return
        if event.key is None:
            lane.ready[event] = None
        elif (followers := lane.followers.get(event.key)) is None:
            lane.followers[event.key] = deque()
            lane.ready[event] = None
        else:
            followers.append(event)
        lane.waiting[event] = None
        self._drain(lane)
        if len(lane.waiting) > MAX_WAITING:
            self._drop_oldest(lane)

    def _drop_oldest(self, lane: Lane) -> None:
        event = next(iter(lane.waiting))
        del lane.waiting[event]
        if event in lane.ready:
            del lane.ready[event]
            self._next_of_key(lane, event.key)
        elif event.key is not None:
            lane.followers[event.key].remove(event)
        self.dropped += 1
        self._engine.router.counters.dropped_events += 1
        if (
            self.dropped & (self.dropped - 1) == 0
        ):  # at 1, 2, 4, 8… : a flood must not flood the log
            log.warning(
                "trigger %s for %s does not keep up: oldest event dropped (%d so far)",
                lane.trigger.id,
                lane.trigger.function_id,
                self.dropped,
                extra=_about(lane.trigger),
            )

    def _next_of_key(self, lane: Lane, key: str | None) -> None:
        """The first event of a key is gone: the next may start, or the key is idle."""
        if key is None:
            return
        followers = lane.followers.get(key)
        if followers:
            lane.ready[followers.popleft()] = None
        elif followers is not None:
            del lane.followers[key]

    def _drain(self, lane: Lane) -> None:
        """Start what may start. A call may end before it returns; the loop then goes on here."""
        if lane.draining:
            return
        lane.draining = True
        while lane.ready and lane.running < MAX_RUNNING:
            event = next(iter(lane.ready))
            del lane.ready[event]
            del lane.waiting[event]
            lane.running += 1
            ended = partial(self._ended, lane, event)
            run_handler(self._engine, lane.trigger, lane.condition, event, ended)
        lane.draining = False

    def _ended(self, lane: Lane, event: Event) -> None:
        lane.running -= 1
        self._next_of_key(lane, event.key)
        self._drain(lane)


def run_handler(
    engine: Engine,
    trigger: Trigger,
    condition: str | None,
    event: Event,
    ended: Callable[[], None],
) -> None:
    """Call the function of a trigger, if its condition lets it; `ended` follows exactly once.

    Only an answer `false` of the condition holds the handler back, or an error. What fails is
    logged.
    """

    def ask(function_id: str, on_answer: OnAnswer) -> None:
        engine.call(
            function_id,
            event.payload,
            on_answer,
            traceparent=event.traceparent,
            baggage=event.baggage,
            metadata=trigger.metadata,
        )

    def decided(result: Raw, error: ErrorBody | None) -> None:
        if error is not None:
            report(engine, trigger, str(condition), error)
        elif bytes(result).strip() != b"false":
            ask(trigger.function_id, handled)
            return
        ended()

    def handled(_: Raw, error: ErrorBody | None) -> None:
        if error is not None:
            report(engine, trigger, trigger.function_id, error)
        ended()

    if condition is None:
        ask(trigger.function_id, handled)
    else:
        ask(condition, decided)


def report(engine: Engine, trigger: Trigger, function_id: str, error: ErrorBody) -> None:
    """Log that a function of a trigger failed; not each time, when it does so again and again."""
    about = _about(trigger)

    def sum_up(times: int) -> None:
        log.warning(
            "trigger %s: %s failed %d times more: %s",
            trigger.id,
            function_id,
            times,
            error.code,
            extra=about,
        )

    if engine.log_gate.passes(f"{trigger.id} {error.code}", sum_up):
        log.warning(
            "trigger %s: %s failed: %s: %s",
            trigger.id,
            function_id,
            error.code,
            error.message,
            extra=about,
        )


def _about(trigger: Trigger) -> dict[str, object]:
    """Fields of a line of the log."""
    return {"fields": {"trigger_type": shown(trigger.type)}}
