"""The broker in RabbitMQ: several engines work on the same queues.

A job that was taken is not acknowledged until it has ended, so the server gives it to another
engine when this one dies. Attempts are counted in a header. A retry, and a dead letter, is stored
before the job is acknowledged.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from iii_engine.core.engine import Engine
from iii_engine.modules.queue.broker import REMOVED, Done
from iii_engine.modules.queue.job import DeadJob, Draft, Job, Lease, QueueName, Receipt, Stats
from iii_engine.modules.queue.rabbitmq.arrivals import Arrival
from iii_engine.modules.queue.rabbitmq.bindings import Bindings
from iii_engine.modules.queue.rabbitmq.connection import RabbitConnection
from iii_engine.modules.queue.rabbitmq.holders import Holders
from iii_engine.modules.queue.rabbitmq.kept import RabbitQueue
from iii_engine.modules.queue.rabbitmq.messages import UNREADABLE, job_of, unreadable
from iii_engine.modules.queue.rabbitmq.options import REFUSALS, RabbitConfig
from iii_engine.modules.queue.rabbitmq.place import RETURN_SECONDS, Place
from iii_engine.modules.queue.rabbitmq.topics import Topics
from iii_engine.modules.queue.rabbitmq.waiting import EARLY_MS, Waiting
from iii_engine.modules.queue.refusals import NotPossible
from iii_engine.modules.queue.server_broker import GOODBYE_SECONDS, ServerBroker
from iii_engine.modules.queue.settings import Settings
from iii_engine.storage.base import LocalStore

if TYPE_CHECKING:
    from aio_pika.abc import AbstractIncomingMessage

log = logging.getLogger("iii.queue")

#: Seconds after which a message that no function got is published anew, if one has come meanwhile.
SETTLE_SECONDS: Final = 1.0


class RabbitBroker(ServerBroker):
    kind = "rabbitmq"

    def __init__(self, engine: Engine, store: LocalStore, config: RabbitConfig) -> None:
        super().__init__(engine)
        self._config = config
        self._connection = RabbitConnection(config.amqp_url)
        self._bindings = Bindings(store, config.prefix)
        self._places: dict[QueueName, Place] = {}
        self._waiting = Waiting(
            self._connection,
            config.prefix,
            self._go_on,
            lambda: self._now_ms,
        )
        self._holders = Holders(self._connection)
        self._topics = Topics(
            self._connection, self._bindings, self.place, self._holders, lambda: self._now_ms
        )

    @property
    def problem(self) -> str | None:
        if (problem := self._connection.problem or self._waiting.trouble) is not None:
            return problem
        found = (each.intake.trouble for each in self._places.values())
        return next(filter(None, found), None)

    async def open(self) -> None:
        await self._connection.open(self._restored)
        self._waiting.open()

    async def close(self) -> None:
        self._closing = True
        for place in self._places.values():
            place.intake.wake = None
        if self._connection.is_open:
            await self._tasks.settle(GOODBYE_SECONDS)
        await self._tasks.end()
        for place in self._places.values():
            await place.close()
        await self._waiting.close()
        await self._connection.close()

    def _restored(self) -> None:
        for place in self._places.values():
            place.queue.forget()
            place.intake.check()
        self._topics.forget()
        self._waiting.forget()
        for topic, function_id in self._bindings.held:
            self._insist(partial(self._topics.bind, topic, function_id))

    # -- producers -------------------------------------------------------------------------------

    def publish(self, topic: str, draft: Draft, done: Done[Receipt]) -> None:
        async def store() -> Receipt:
            job = self._job(draft)
            stranded = await self._topics.publish(topic, job)
            if stranded:
                self._engine.timers.after(1, partial(self._settle_later, topic))
            return Receipt(job.id)

        self._answer(store(), done)

    def _settle_later(self, topic: str) -> None:
        self._insist(partial(self._topics.settle, topic))

    def enqueue(self, queue: str, draft: Draft, done: Done[Receipt]) -> None:
        async def store() -> Receipt:
            job = self._job(draft)
            await self.place(QueueName(queue)).queue.put(job, self._now_ms, hurry=True)
            return Receipt(job.id)

        self._answer(store(), done)

    def _job(self, draft: Draft) -> Job:
        REFUSALS.check_options(draft.options)
        return draft.job(self._engine.ids.uuid(), self._now_ms, draft.options.delay_ms)

    # -- topics ----------------------------------------------------------------------------------

    def bind(self, topic: str, function_id: str, settings: Settings) -> None:
        REFUSALS.check_limits(settings.limits)
        place = self.place(QueueName(topic, True, function_id))
        place.queue.settings = settings
        self._bindings.held.add((topic, function_id))
        self._insist(lambda: self._topics.bind(topic, function_id))

    def unbind(self, topic: str, function_id: str, reason: str) -> None:
        """While another engine has a worker for it, it stays as it is."""
        self._bindings.held.discard((topic, function_id))

        async def unbind() -> None:
            if await self._topics.unbind(topic, function_id, reason):
                self._engine.timers.after(SETTLE_SECONDS, partial(self._unbind_late, again))

        again = partial(self._topics.unbind, topic, function_id, reason)
        self._insist(unbind)

    def _unbind_late(self, again: Callable[[], Awaitable[bool]]) -> None:
        """Bury what was on its way to the queue, too."""
        if not self._closing:
            self._insist(again)

    def _ended(self, name: QueueName) -> bool:
        return name.topic and self._bindings.ended((name.name, name.function_id))

    async def _go_on(self, name: QueueName, job: Job) -> None:
        """The pause of a job is over, or a part of it."""
        queue = self.place(name).queue
        if self._ended(name):
            await queue.bury(DeadJob(job, job.error or REMOVED, self._now_ms))
        else:
            await queue.put(job, self._now_ms)

    def bindings(self) -> list[QueueName]:
        return [QueueName(topic, True, each) for topic, each in self._bindings.bound()]

    # -- consumers -------------------------------------------------------------------------------

    def attach(self, queue: QueueName, settings: Settings, wake: Callable[[], None]) -> None:
        place = self.place(queue)
        place.queue.settings = settings
        place.intake.wake = wake
        place.intake.want(settings)
        wake()

    def detach(self, queue: QueueName) -> None:
        self.place(queue).intake.want(None)

    def rest(self, queue: QueueName) -> None:
        self.detach(queue)

    def take(self, queue: QueueName, limit: int, done: Callable[[list[Lease]], None]) -> None:
        intake = self.place(queue).intake
        taken = intake.arrivals.take(limit) if intake.gives else []
        done([Lease(queue, arrival.job, self._token(), arrival) for arrival in taken])

    def _arrived(self, place: Place, message: AbstractIncomingMessage) -> None:
        now_ms, new_id, queue = self._now_ms, self._engine.ids.uuid(), place.queue
        try:
            job = job_of(message, new_id)
        except UNREADABLE as error:
            log.error("queue %s: what is no job is dead: %s", queue.name.text, error)
            dead = unreadable(message, new_id, str(error), now_ms)
            self._pass_on(place, Arrival(dead.job, message), lambda: queue.bury(dead))
            return
        if place.intake.arrivals.returned(job, message):
            place.notify()
            return
        place.intake.arrivals.recall(job, message)
        job.created_at = job.created_at or now_ms
        if not job.attempts_made and queue.settings.delay_ms:
            job.process_at = max(job.process_at, job.created_at + queue.settings.delay_ms)
        arrival = Arrival(job, message)
        if job.process_at - now_ms > EARLY_MS:
            self._pass_on(place, arrival, lambda: queue.put(job, self._now_ms))
        else:
            place.intake.arrivals.arrived(arrival)
            place.notify()

    def _pass_on(
        self, place: Place, arrival: Arrival, store: Callable[[], Awaitable[object]]
    ) -> None:
        """It is not for a consumer now."""
        place.intake.arrivals.go([arrival])
        self._tasks.spawn(place.end(arrival, store))

    def complete(self, lease: Lease, *, cancelled: bool = False) -> None:
        place, arrival = self._of(lease)
        self._tasks.spawn(place.end(arrival))

    def retry(self, lease: Lease, job: Job, delay_ms: int) -> None:
        """In order, the job stays where it is until its pause is over.

        One whose function is not here goes to another engine, and all others with it.
        """
        place, arrival = self._of(lease)
        if self._ended(lease.queue):
            self.bury(lease, DeadJob(job, job.error or REMOVED, self._now_ms))
            return
        if place.intake.arrivals.limits.ordered:
            if job.handed_back > arrival.handed_back:
                place.intake.step_aside()
            arrival.handed_back = job.handed_back
            arrival.job, arrival.running = job, False
            self._engine.timers.after(delay_ms / 1000, lambda: self._again(place, arrival))
            place.notify()
            return
        job.process_at = self._now_ms + delay_ms if delay_ms else 0
        self._tasks.spawn(place.end(arrival, lambda: place.queue.put(job, self._now_ms)))

    def _again(self, place: Place, arrival: Arrival) -> None:
        place.intake.arrivals.again(arrival)
        place.notify()
        if arrival.due:
            self._engine.timers.after(RETURN_SECONDS, lambda: place.give_up(arrival))

    def bury(self, lease: Lease, dead: DeadJob) -> None:
        place, arrival = self._of(lease)
        self._tasks.spawn(place.end(arrival, lambda: place.queue.bury(dead)))

    def _of(self, lease: Lease) -> tuple[Place, Arrival]:
        assert isinstance(lease.handle, Arrival)
        return self.place(lease.queue), lease.handle

    # -- single jobs, dead ones, numbers ---------------------------------------------------------

    def cancel(self, queue: QueueName, message_id: str, done: Done[bool]) -> None:
        """RabbitMQ lets nobody take a job out of the middle of a queue."""
        if self.place(queue).out(message_id) is not None:
            done(False, None)
        else:
            done(None, NotPossible(f"job {message_id} does not run at this engine: {ONLY}"))

    def find(self, queue: QueueName, message_id: str, done: Done[Job | DeadJob | bool]) -> None:
        place = self.place(queue)
        found = place.out(message_id)
        if found is not None:
            done(found.job, None)
            return

        async def look() -> Job | DeadJob | bool:
            dead = await place.queue.find_dead(message_id)
            if dead is None:
                raise NotPossible(f"job {message_id} neither runs here nor is dead: {ONLY}")
            return dead

        self._answer(look(), done)

    def dead(self, queue: QueueName, offset: int, limit: int, done: Done[list[DeadJob]]) -> None:
        self._answer(self.place(queue).queue.dead(offset, limit), done)

    def redrive(self, queue: QueueName, message_id: str | None, done: Done[int]) -> None:
        self._answer(self.place(queue).queue.redrive(message_id, self._now_ms), done)

    def discard(self, queue: QueueName, message_id: str, done: Done[int]) -> None:
        self._answer(self.place(queue).queue.discard(message_id), done)

    def stats(self, queue: QueueName, done: Done[Stats]) -> None:
        self._answer(self.place(queue).stats(), done)

    def topic_queues(self) -> list[QueueName]:
        return [QueueName(topic, True, function) for topic, function in self._bindings.all()]

    # -- inside ----------------------------------------------------------------------------------

    def place(self, name: QueueName) -> Place:
        """The queue, which is created in RabbitMQ when it is first used. Raises `BadName`."""
        place = self._places.get(name)
        if place is None:
            config, new_id = self._config, self._engine.ids.uuid
            queue = RabbitQueue(self._connection, self._waiting, name, config.prefix, new_id)
            place = self._places[name] = Place(
                self._connection, queue, config.prefetch_count, self._holders, self._arrived
            )
        return place


#: Why a single job is not to be had.
ONLY: Final = "the adapter 'rabbitmq' knows single jobs only while they run, and dead ones"
