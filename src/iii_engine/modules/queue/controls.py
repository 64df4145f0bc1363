"""Functions about single jobs and about whole queues: cancel, status, heartbeat, pause."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from iii_engine.core.router import Call
from iii_engine.modules.base import fail
from iii_engine.modules.queue import answers, requests
from iii_engine.modules.queue.broker import Done
from iii_engine.modules.queue.gathering import gather
from iii_engine.modules.queue.handlers import answering, message_of, named
from iii_engine.modules.queue.job import DeadJob, Job, QueueName
from iii_engine.modules.queue.queues import Queues
from iii_engine.modules.queue.run import Run
from iii_sdk.errors import BusError


class Controls:
    """What each function does. A topic stands for the queues of all its functions."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues
        self._broker = queues.broker

    def cancel(self, call: Call, request: requests.MessageRequest) -> None:
        """Of a job that runs, the answer does not count any more."""
        name, message_id = message_of(request)
        ran = [c.cancel(message_id) for c in list(self._queues.consumers(name))]

        def ask(queue: QueueName, done: Done[str]) -> None:
            """The state in which it was removed; empty when it was not."""

            def found(job: Job | DeadJob | bool | None, error: BaseException | None) -> None:
                if not isinstance(job, Job):
                    done(None if error else "", error)
                    return
                state = self._state(job)
                self._broker.cancel(
                    queue,
                    message_id,
                    lambda gone, error: done(None if error else state if gone else "", error),
                )

            self._broker.find(queue, message_id, found)

        def answer(states: list[str]) -> answers.Cancelled:
            was = "active" if any(ran) else max(states, default="") or None
            return answers.Cancelled(name, message_id, was is not None, was)

        gather(
            self._queues.behind(name),
            ask,
            self._queues.soon,
            answering(call, "cancel_failed", answer),
        )

    def status(self, call: Call, request: requests.MessageRequest) -> None:
        name, message_id = message_of(request)

        def ask(queue: QueueName, done: Done[Job | DeadJob | bool]) -> None:
            self._broker.find(queue, message_id, done)

        def answer(found: list[Job | DeadJob | bool]) -> answers.Status:
            running = self._run(name, message_id) is not None
            kept = [each for each in found if not isinstance(each, bool)]
            # Of several copies the one that is furthest from its end.
            kept.sort(key=lambda each: isinstance(each, DeadJob))
            if not kept:
                return answers.Status(name, message_id, None)
            return self._describe(name, kept[0], running)

        gather(
            self._queues.behind(name),
            ask,
            self._queues.soon,
            answering(call, "status_failed", answer),
        )

    def _describe(self, name: str, found: Job | DeadJob, running: bool) -> answers.Status:
        job = found.job if isinstance(found, DeadJob) else found
        if isinstance(found, DeadJob):
            state = "dlq"
        elif running:
            state = "active"
        else:
            state = self._state(job)
        return answers.Status(
            name,
            job.id,
            state,
            job.attempts_made,
            job.created_at,
            job.process_at or None,
            job.error,
        )

    def _state(self, job: Job) -> str:
        """Of one that neither runs nor is dead."""
        return "delayed" if job.process_at > self._queues.now_ms else "waiting"

    def runs(self, request: requests.MessageRequest) -> bool:
        """Whether the job runs here; for a heartbeat, whether its sender has the lease."""
        run = self._run(*message_of(request))
        token = request.token if isinstance(request, requests.HeartbeatRequest) else None
        return run is not None and token in (None, run.lease.token)

    @property
    def shared(self) -> bool:
        """Whether other engines may run what this one finds."""
        return self._broker.shared

    def keeps(self, request: requests.MessageRequest, done: Callable[[bool], None]) -> None:
        """Tell whether the job is in queues of this engine alone: no other one runs it then."""
        if self.shared:
            done(False)
            return
        name, message_id = message_of(request)

        def ask(queue: QueueName, done: Done[Job | DeadJob | bool]) -> None:
            self._broker.find(queue, message_id, done)

        def found(jobs: list[Job | DeadJob | bool] | None, error: BaseException | None) -> None:
            done(jobs is None or any(job is not False for job in jobs))

        gather(self._queues.behind(name), ask, self._queues.soon, found)

    def heartbeat(self, call: Call, request: requests.HeartbeatRequest) -> None:
        """Renew a lease; with a `token`, only for the holder who has that one."""
        name, message_id = message_of(request)
        run = self._run(name, message_id)
        renewed = run is not None and request.token in (None, run.lease.token)
        if run is not None and renewed:
            run.renew(request.visibility_timeout_ms)
        call.reply(msgspec.json.encode(answers.Renewed(name, message_id, renewed)))

    def _run(self, name: str, message_id: str) -> Run | None:
        found = (consumer.find(message_id) for consumer in self._queues.consumers(name))
        return next((run for run in found if run is not None), None)

    def pause(self, call: Call, request: requests.QueueRequest) -> None:
        self._set_paused(call, request, paused=True)

    def resume(self, call: Call, request: requests.QueueRequest) -> None:
        self._set_paused(call, request, paused=False)

    def _set_paused(self, call: Call, request: requests.QueueRequest, *, paused: bool) -> None:
        name = named(request.queue, "queue_not_set", "queue")
        if not self._queues.knows(name):
            raise BusError(
                f"Queue '{name}' is neither configured nor a topic with jobs or subscribers"
                " ($.queue)",
                code="queue_not_found",
            )

        def done(_: None, error: BaseException | None) -> None:
            if error is not None:
                fail(call, error, "pause_failed")
                return
            call.reply(msgspec.json.encode(answers.Paused(name, paused)))

        self._queues.pauses.put(name, paused, done)
