"""What keeps the jobs: the interface that every adapter of `iii-queue` implements.

The broker stores; the consumer (`consumer.py`) runs, and decides about retries. A job that was
taken stays the broker's until it is completed: it comes back when the process ends before that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Final, TypeAlias, TypeVar

from iii_engine.modules.queue.job import DeadJob, Draft, Job, Lease, QueueName, Receipt, Stats
from iii_engine.modules.queue.pauses import Pauses
from iii_engine.modules.queue.settings import Settings

T = TypeVar("T")

#: Why a subscription ends, which is the error of what waits for it: somebody has said so, or its
#: workers did not come back.
REMOVED: Final = "subscription removed"
EXPIRED: Final = "subscription expired"

#: Called exactly once, with a result or with an error; possibly before the method returns.
Done: TypeAlias = Callable[[T | None, BaseException | None], None]


def _nobody(lease: Lease) -> None:
    """Who has no consumers need not be told."""


class Broker(ABC):
    """Methods with `done` answer when the change is durable; none of them raises or blocks.

    Those about a lease have no answer: what cannot be stored now is tried again, and a lease that
    is not the newest of its job is ignored.
    """

    #: What `engine::queue::list_topics` calls it.
    kind: ClassVar[str]
    #: Whether several engines may work on its queues.
    shared: ClassVar[bool] = False
    #: Told of a lease that another engine has by now: its run does not count any more.
    lost: Callable[[Lease], None] = staticmethod(_nobody)

    #: What is paused, where all engines of a server share that; None: each has its own.
    pauses: Pauses | None = None

    @property
    def problem(self) -> str | None:
        """Why the server cannot be used now; None when it can, or there is none."""
        return None

    @abstractmethod
    async def open(self) -> None:
        """Connect. Raises `BusError`, `StoreError` or `OSError` that says what is wrong."""

    @abstractmethod
    async def close(self) -> None:
        """Store what is decided and let go of the rest: jobs that run will be taken again."""

    # -- producers -------------------------------------------------------------------------------

    @abstractmethod
    def publish(self, topic: str, draft: Draft, done: Done[Receipt]) -> None:
        """Store one job for every function bound to the topic; without one, for the first."""

    @abstractmethod
    def enqueue(self, queue: str, draft: Draft, done: Done[Receipt]) -> None:
        """Store one job on a named queue."""

    # -- topics ----------------------------------------------------------------------------------

    @abstractmethod
    def bind(self, topic: str, function_id: str, settings: Settings) -> None:
        """From now on the function gets a copy of what is published; bound already: new settings.

        The first function of a topic gets what was published before.
        """

    @abstractmethod
    def unbind(self, topic: str, function_id: str, reason: str) -> None:
        """No copies any more. What waits for the function dies with the error `reason`."""

    @abstractmethod
    def bindings(self) -> list[QueueName]:
        """The functions bound to topics, also those whose workers are away."""

    # -- consumers -------------------------------------------------------------------------------

    @abstractmethod
    def attach(self, queue: QueueName, settings: Settings, wake: Callable[[], None]) -> None:
        """Use these settings; `wake` is called whenever there may be something to take."""

    @abstractmethod
    def detach(self, queue: QueueName) -> None:
        """Nobody takes from the queue for now."""

    def rest(self, queue: QueueName) -> None:  # noqa: B027
        """Its consumer is paused: what has come here and waits is for other engines.

        `attach` ends that. Where nothing comes before it is taken, there is nothing to do.
        """

    @abstractmethod
    def take(self, queue: QueueName, limit: int, done: Callable[[list[Lease]], None]) -> None:
        """Lease up to so many jobs, in order and within the limits of their keys."""

    @abstractmethod
    def complete(self, lease: Lease, *, cancelled: bool = False) -> None:
        """The job is done; the key of one that was cancelled is free, as after `cancel`."""

    @abstractmethod
    def retry(self, lease: Lease, job: Job, delay_ms: int) -> None:
        """Store the job as it is now and run it again, `delay_ms` from now, before others.

        Where the order of keys is kept, those behind it wait for it.
        """

    @abstractmethod
    def bury(self, lease: Lease, dead: DeadJob) -> None:
        """Move the job to the dead letters."""

    def set_aside(self, lease: Lease, function_id: str) -> None:
        """Let the job wait until `bring_back` names its function; it takes no place meanwhile.

        Where queues are `shared`, jobs are given back instead.
        """
        raise NotImplementedError

    def bring_back(self, queue: QueueName, function_id: str) -> None:
        """The jobs that were set aside for that function may be taken again."""
        raise NotImplementedError

    # -- single jobs -----------------------------------------------------------------------------

    @abstractmethod
    def cancel(self, queue: QueueName, message_id: str, done: Done[bool]) -> None:
        """Remove a job that does not run, and free its key; False when there is none."""

    @abstractmethod
    def find(self, queue: QueueName, message_id: str, done: Done[Job | DeadJob | bool]) -> None:
        """A job that waits (or runs), or a dead one; False when there is none."""

    # -- dead letters ----------------------------------------------------------------------------

    @abstractmethod
    def dead(self, queue: QueueName, offset: int, limit: int, done: Done[list[DeadJob]]) -> None:
        """Dead jobs, newest first. They may be fewer than `limit`, but none only at the end."""

    @abstractmethod
    def redrive(self, queue: QueueName, message_id: str | None, done: Done[int]) -> None:
        """Run dead jobs again, oldest first, with all their attempts; answers how many."""

    @abstractmethod
    def discard(self, queue: QueueName, message_id: str, done: Done[int]) -> None:
        """Forget a dead job, and free its key; answers how many there were."""

    # -- numbers ---------------------------------------------------------------------------------

    def named_queues(self) -> list[str]:
        """Named queues that hold jobs, configured or not, where that can be told at once."""
        return []

    def dropped(self, queue: QueueName) -> int | None:
        """Dead jobs that went since the start because there were too many; None: nobody counts."""
        return None

    @abstractmethod
    def stats(self, queue: QueueName, done: Done[Stats]) -> None: ...

    @abstractmethod
    def topic_queues(self) -> list[QueueName]:
        """All queues of topics that may have jobs: also of functions that are not bound any more,
        and of topics that nobody has subscribed to yet."""
