"""A bound trigger: its job, its timer, its lock and the run that is going on."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import msgspec

from iii_engine.core.cron_job import CronJob
from iii_engine.core.cron_schedule import NS
from iii_engine.core.engine import Engine
from iii_engine.core.fanout import Event, run_handler
from iii_engine.core.timers import Timer
from iii_engine.core.tracing import OwnSpan
from iii_engine.core.triggers import Trigger
from iii_engine.modules.cron.config import CronConfig
from iii_engine.modules.cron.locks import Locks
from iii_sdk.protocol import is_null

log = logging.getLogger("iii.cron")

#: The clock is looked at this often at least: it may have been set, or the machine have slept.
LOOK_SECONDS: Final = 60.0

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class BoundJob:
    """Raises `BadJob` when the trigger cannot be bound. `close` ends the ticks, not the run."""

    def __init__(self, engine: Engine, locks: Locks, trigger: Trigger, config: CronConfig) -> None:
        now = engine.clock.now_ns()
        self._engine = engine
        self._locks = locks
        self._trigger = trigger
        self._config = config
        self._key = config.job_key(trigger.function_id)
        self._remembers = config.missed == "run_once"
        config.make_schedule(now)  # first of all it must be right
        self._open = True
        self._timer: Timer | None = None
        self._renewal: Timer | None = None
        if self._remembers:
            locks.last_ns(self._key, partial(self._start, now))
        else:
            self._start(now, None)

    def _start(self, now: int, last: int | None) -> None:
        """Look for ticks since `last`, or since `now` when no run is known."""
        if last is None and self._remembers:
            self._locks.remember(self._key, now)
        self.job = CronJob(
            self._config.make_schedule(now if last is None else last),
            now,
            overlap=self._config.overlap,
            missed=self._config.missed,
            last_ns=last,
        )
        if self._open:
            self._arm()

    def close(self) -> None:
        self._open = False
        for timer in (self._timer, self._renewal):
            if timer is not None:
                timer.cancel()

    def _arm(self) -> None:
        due = self.job.due_ns
        if due is not None:
            seconds = max(0.0, (due - self._engine.clock.now_ns()) / NS)
            self._timer = self._engine.timers.after(min(seconds, LOOK_SECONDS), self._look)

    def _look(self) -> None:
        instant = self.job.look(self._engine.clock.now_ns())
        self._arm()
        if instant is not None:
            self._begin(instant)

    def _begin(self, instant: int) -> None:
        taken = partial(self._run, instant)
        self._locks.acquire(self._key, instant, taken, remember=self._remembers)

    def _run(self, instant: int, locked: bool) -> None:
        if not locked or not self._open:
            self._ended()
            return
        self._renew_later(instant)
        span = self._begin_span()
        event = Event(None, self._payload(instant), span.traceparent)

        def ended() -> None:
            span.end()
            self._ended()

        run_handler(self._engine, self._trigger, self._config.function_id, event, ended)

    def _begin_span(self) -> OwnSpan:
        """A run begins a trace of its own."""
        trigger = self._trigger
        attributes = (
            ("job_id", trigger.id),
            ("function_id", trigger.function_id),
            ("faas.trigger", "timer"),
        )
        return self._engine.tracing.start(
            f"call {trigger.function_id}", kind="producer", attributes=attributes
        )

    def _renew_later(self, instant: int) -> None:
        seconds = self._locks.ttl_ms / 3000
        self._renewal = self._engine.timers.after(seconds, partial(self._renew, instant))

    def _renew(self, instant: int) -> None:
        self._locks.renew(self._key, instant)
        self._renew_later(instant)

    def _ended(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None
        waited = self.job.ended()
        if waited is not None and self._open:
            self._engine.timers.after(0, partial(self._begin, waited))

    def _payload(self, instant: int) -> bytes:
        parts = [
            b'{"trigger":"cron","job_id":',
            msgspec.json.encode(self._trigger.id),
            b',"scheduled_time":"',
            rfc3339(instant),
            b'","actual_time":"',
            rfc3339(self._engine.clock.now_ns()),
            b'"',
        ]
        if not is_null(self._config.data):
            parts += (b',"data":', bytes(self._config.data))
        return b"".join(parts) + b"}"


def rfc3339(instant_ns: int) -> bytes:
    """In UTC, with microseconds when there are some."""
    return (_EPOCH + timedelta(microseconds=instant_ns // 1000)).isoformat().encode()
