"""A job that is bound: its triggers, its timer, its lock and the run that is going on."""

from __future__ import annotations

import logging
from collections.abc import Callable
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
#: How often a tick that waits for the run of another engine looks whether that has ended.
AGAIN_SECONDS: Final = 1.0

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class BoundJob:
    """The triggers of one job key (see `CronConfig.job_key`): one clock, one run at a time.

    Several instances of a worker register the same job; the oldest of its triggers is called. When
    the last one went and nothing runs, `forget` is called.
    """

    def __init__(self, engine: Engine, locks: Locks, key: str, forget: Callable[[], None]) -> None:
        self._engine = engine
        self.locks = locks
        self._key = key
        self._forget = forget
        self._members: dict[str, tuple[Trigger, CronConfig]] = {}
        self._job: CronJob | None = None
        self._open = True
        self._timer: Timer | None = None
        self._renewal: Timer | None = None
        self._remembers = False

    def add(self, trigger: Trigger, config: CronConfig) -> None:
        """The first one begins the ticks."""
        self._members[trigger.id] = trigger, config
        if len(self._members) == 1 and self._job is None:
            self._begin(config)

    def remove(self, trigger_id: str) -> None:
        """The last one ends the ticks, not the run."""
        del self._members[trigger_id]
        if not self._members and not (self._job and self._job.running):
            self._end()

    def change(self, locks: Locks) -> None:
        """Go on with other locks; a run that is going on counts there as well."""
        self.locks = locks
        if self._job is not None and self._job.running:
            locks.begin(self._key, lambda _: None)

    def close(self) -> None:
        """End the ticks, not the run."""
        self._open = False
        for timer in (self._timer, self._renewal):
            if timer is not None:
                timer.cancel()

    def _end(self) -> None:
        self.close()
        self._forget()

    def _begin(self, config: CronConfig) -> None:
        now = self._engine.clock.now_ns()
        oldest = config.oldest_last_ns(now)
        self._remembers = oldest is not None
        start = partial(self._start, config, now)
        if oldest is None:
            start(None)
        else:
            self.locks.since(self._key, now, oldest, start)

    def _start(self, config: CronConfig, now: int, last: int | None) -> None:
        """Look for ticks since `last`, or since `now` when no run is known."""
        self._job = CronJob(
            config.make_schedule(now if last is None else last),
            now,
            overlap=config.overlap,
            missed=config.missed,
            last_ns=last,
        )
        if self._open:
            self._arm(self._job)

    def _arm(self, job: CronJob) -> None:
        due = job.due_ns
        if due is not None:
            seconds = max(0.0, (due - self._engine.clock.now_ns()) / NS)
            look = partial(self._look, job)
            self._timer = self._engine.timers.after(min(seconds, LOOK_SECONDS), look)

    def _look(self, job: CronJob) -> None:
        instant = job.look(self._engine.clock.now_ns())
        self._arm(job)
        if instant is not None:
            taken = partial(self._taken, job, instant)
            self.locks.acquire(self._key, instant, taken, remember=self._remembers)

    def _taken(self, job: CronJob, instant: int, locked: bool) -> None:
        """Run the tick when it is this engine's, now or after the run that is going on here."""
        if locked and self._open and self._members and job.begin(instant):
            self._renew_later(job, instant)
            self._go(job, instant)

    def _go(self, job: CronJob, instant: int) -> None:
        """Run a tick when no other engine runs the job."""
        if self._open and self._members:
            self.locks.begin(self._key, partial(self._alone, job, instant))
        else:
            self._ended(job)

    def _alone(self, job: CronJob, instant: int, alone: bool) -> None:
        if alone:
            self._run(job, instant)
        elif job.overlap == "queue":
            self._engine.timers.after(AGAIN_SECONDS, partial(self._go, job, instant))
        else:
            job.skipped += 1
            self._ended(job)

    def _run(self, job: CronJob, instant: int) -> None:
        if not self._open or not self._members:
            self._ended(job)
            return
        trigger, config = next(iter(self._members.values()))
        span = self._begin_span(trigger)
        event = Event(None, self._payload(trigger, config, instant), span.traceparent)

        def ended() -> None:
            span.end()
            self._ended(job)

        run_handler(self._engine, trigger, config.function_id, event, ended)

    def _begin_span(self, trigger: Trigger) -> OwnSpan:
        """A run begins a trace of its own."""
        attributes = (
            ("job_id", trigger.id),
            ("function_id", trigger.function_id),
            ("faas.trigger", "timer"),
        )
        return self._engine.tracing.start(
            f"call {trigger.function_id}", kind="producer", attributes=attributes
        )

    def _renew_later(self, job: CronJob, instant: int) -> None:
        seconds = self.locks.ttl_ms / 3000
        self._renewal = self._engine.timers.after(seconds, partial(self._renew, job, instant))

    def _renew(self, job: CronJob, instant: int) -> None:
        """Keep the run, its tick, and those that wait."""
        self.locks.keep(self._key)
        for each in (instant, *job.waiting):
            self.locks.renew(self._key, each)
        self._renew_later(job, instant)

    def _ended(self, job: CronJob) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None
        waited = job.ended()
        if waited is not None and self._open and self._members:
            self._renew_later(job, waited)
            self._engine.timers.after(0, partial(self._run, job, waited))
            return
        job.rest()
        self.locks.end(self._key)
        if not self._members:
            self._end()

    def _payload(self, trigger: Trigger, config: CronConfig, instant: int) -> bytes:
        parts = [
            b'{"trigger":"cron","job_id":',
            msgspec.json.encode(trigger.id),
            b',"scheduled_time":"',
            rfc3339(instant),
            b'","actual_time":"',
            rfc3339(self._engine.clock.now_ns()),
            b'"',
        ]
        if not is_null(config.data):
            parts += (b',"data":', bytes(config.data))
        return b"".join(parts) + b"}"


def rfc3339(instant_ns: int) -> bytes:
    """In UTC, with microseconds when there are some."""
    return (_EPOCH + timedelta(microseconds=instant_ns // 1000)).isoformat().encode()
