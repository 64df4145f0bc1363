"""Runs the jobs of one queue: takes as many as have room, calls their functions, decides."""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

from msgspec import Raw, Struct

from iii_engine.core.engine import Engine
from iii_engine.modules.queue.absent import Absent
from iii_engine.modules.queue.away import AWAY, looks_on, pause_ms
from iii_engine.modules.queue.broker import Broker
from iii_engine.modules.queue.job import DeadJob, Job, Lease, QueueName
from iii_engine.modules.queue.journal import Soon
from iii_engine.modules.queue.rest import Rest
from iii_engine.modules.queue.run import Run, begin
from iii_engine.modules.queue.settings import Settings
from iii_sdk.protocol import ErrorBody

log = logging.getLogger("iii.queue")

#: Seconds until the broker is asked again after it failed.
AGAIN_SECONDS: Final = 1.0

#: How much later than others an engine takes that has just given a job back to them: without, the
#: one that has nothing to do would be the first each time.
SHY_SECONDS: Final = 0.05

#: Ends of a call that say nothing about the job: it may run again at once, elsewhere.
WORKER_GONE = "invocation_stopped"


class Target(Struct, frozen=True):
    """What is called for the jobs of a topic. A named queue's jobs say themselves."""

    function_id: str | None = None
    condition: str | None = None
    metadata: Raw | None = None


class Consumer:
    """`open` consumers take; a closed one lets end what runs. One batch is asked for at a time."""

    def __init__(
        self,
        engine: Engine,
        broker: Broker,
        queue: QueueName,
        settings: Settings,
        soon: Soon,
        target: Target | None = None,
    ) -> None:
        self.engine = engine
        self.queue = queue
        self.span_name = f"{'queue' if queue.topic else 'fn_queue'} {queue.text}"
        self.settings = settings
        self.target = target or Target()
        self.paused = False
        self.absent = Absent(engine, queue, partial(broker.bring_back, queue))
        self.running: dict[Lease, Run] = {}
        self._broker = broker
        self._soon = soon
        self._open = False
        self._woken = False
        self._asked = False
        self._shy_until_ns = 0
        self._rest = Rest(engine.timers, self.wake)

    # -- taking ----------------------------------------------------------------------------------

    def open(self) -> None:
        self._open = True
        self._rest.end()
        self._attach()

    def _attach(self) -> None:
        self._broker.attach(self.queue, self.settings, self.wake)
        if self.paused:
            self._broker.rest(self.queue)

    def close(self) -> None:
        """Take no more."""
        self._open = False
        self.absent.close()
        self._rest.end()
        self._broker.detach(self.queue)

    @property
    def busy(self) -> bool:
        """Whether something of it runs, or is about to."""
        return bool(self.running) or self._asked

    def change(self, settings: Settings, target: Target | None = None) -> None:
        """Other settings from the next job on."""
        self.settings = settings
        self.target = target or self.target
        if self._open:
            self._attach()

    def pause(self, paused: bool) -> None:
        self.paused = paused
        if self._open:
            self._attach()
        self.wake()

    def wake(self) -> None:
        """There may be something to take: look at the end of this tick, once for all."""
        if not self._woken:
            self._woken = True
            if self.engine.clock.monotonic_ns() < self._shy_until_ns:
                self.engine.timers.after(SHY_SECONDS, self._pump)
            else:
                self._soon(self._pump)

    def _pump(self) -> None:
        self._woken = False
        room = self.settings.concurrency - len(self.running)
        may = self._open and not self.paused and not self._asked and not self._rest.lasts
        if may and room > 0:
            self._asked = True
            try:
                self._broker.take(self.queue, room, self._taken)
            except Exception:
                log.exception("queue %s: no job can be taken", self.queue.text)
                self._asked = False
                self.engine.timers.after(AGAIN_SECONDS, self.wake)

    def _taken(self, leases: list[Lease]) -> None:
        self._asked = False
        for lease in leases:
            self._start(lease)

    def _start(self, lease: Lease) -> None:
        """What goes wrong with one job must not be the end of those taken with it."""
        run = self.running[lease] = begin(self, lease)
        try:
            run.start()
        except Exception as error:
            log.exception("queue %s: job %s cannot be run", self.queue.text, lease.job.id)
            run.abandon("internal_error")
            if self.running.get(lease) is run:
                self.failed(lease, ErrorBody("internal_error", f"It cannot be run: {error}"))

    # -- what a run found out --------------------------------------------------------------------

    def hands_back(self, function_id: str, job: Job) -> bool:
        """Whether another engine of the same server may have the job's function."""
        if not self._broker.shared:
            return False
        expected = self.absent.expects(function_id, job)
        return looks_on(job, expected=expected) and (expected or not self.queue.topic)

    def waits(self, function_id: str, job: Job) -> bool:
        """Whether a job waits here for its function, which is not there."""
        return not self._broker.shared and self.absent.expects(function_id, job)

    def set_aside(self, lease: Lease, function_id: str) -> None:
        """Give its place to others until the function is there."""
        self._ended(lease)
        if self._open:
            self.absent.wait(function_id)
            self._broker.set_aside(lease, function_id)
        else:
            self._broker.retry(lease, lease.job, 0)

    # -- what a run ended with -------------------------------------------------------------------

    def done(self, lease: Lease) -> None:
        """The job need not run again."""
        self._rest.worked()
        self._ended(lease)
        self._broker.complete(lease)

    def failed(self, lease: Lease, error: ErrorBody) -> None:
        """Try again later, or give up."""
        self._ended(lease)
        job, policy = lease.job, self.settings.policy
        now_ms = self.engine.clock.now_ns() // 1_000_000
        if error.code == AWAY and (pause := pause_ms(job, now_ms)) is not None:
            job.handed_back += 1
            self._broker.retry(lease, job, pause)
            self._shy_until_ns = self.engine.clock.monotonic_ns() + 2_000_000 * pause
            if (self.target.function_id or "") in self.engine.registry:
                self._rest.begin()  # it is the function itself that says so, and of all jobs
            return
        job.attempts_made += 1
        text = f"{error.code}: {error.message}"
        job.error = text.encode("utf-8", "replace").decode()  # callees may send lone surrogates
        if policy.gives_up(job.attempts_made):
            self._warn_of_death(job)
            self._broker.bury(lease, DeadJob(job, job.error, now_ms))
        else:
            gone = error.code == WORKER_GONE
            self._broker.retry(lease, job, 0 if gone else policy.delay_ms(job.attempts_made))

    def _warn_of_death(self, job: Job) -> None:
        """The dead letters have them all: the log names some."""
        name = self.queue.text

        def sum_up(number: int) -> None:
            log.warning("queue %s: %d more jobs are dead", name, number)

        if self.engine.log_gate.passes(f"queue: dead {name}", sum_up):
            log.warning("queue %s: job %s is dead: %s", name, job.id, job.error)

    def find(self, message_id: str) -> Run | None:
        """The delivery of a job that runs."""
        found = (run for run in self.running.values() if run.lease.job.id == message_id)
        return next(found, None)

    def cancel(self, message_id: str) -> bool:
        """Whether the job runs: then its answer does not count any more, and it is done."""
        run = self.find(message_id)
        if run is None:
            return False
        run.abandon("cancelled")
        self._ended(run.lease)
        self._broker.complete(run.lease, cancelled=True)
        return True

    def lost(self, lease: Lease) -> None:
        """Another engine has the job now: its answer here does not count."""
        if (run := self.running.get(lease)) is not None:
            log.warning("queue %s: job %s is another engine's now", self.queue.text, lease.job.id)
            run.abandon("lease_lost")
            self._ended(lease)

    def abandon(self) -> None:
        """Let nothing come of what runs: its leases are the broker's to give back."""
        for run in self.running.values():
            run.abandon("engine_stopping")

    def _ended(self, lease: Lease) -> None:
        del self.running[lease]
        self.wake()
