"""Single jobs, dead ones, and numbers: the half of the broker that asks and remembers nothing."""

from __future__ import annotations

from abc import ABC
from typing import Any, Final

from iii_engine.modules.queue.broker import Broker, Done
from iii_engine.modules.queue.job import DeadJob, Job, QueueName, Stats
from iii_engine.modules.queue.redis.asking import Asking
from iii_engine.modules.queue.redis.kept import dead_of, decode_state, job_of
from iii_engine.modules.queue.redis.names import base_of
from iii_engine.modules.queue.redis.scripts import looks

#: Dead jobs that one script lets run again.
REDRIVEN: Final = 500


class RedisLooks(Broker, ABC):
    """See `Broker`."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def cancel(self, queue: QueueName, message_id: str, done: Done[bool]) -> None:
        self._asking.once(looks.CANCEL, [base_of(queue)], [message_id], bool, done)

    def find(self, queue: QueueName, message_id: str, done: Done[Job | DeadJob | bool]) -> None:
        def found(answer: Any) -> Job | DeadJob | bool:
            if not answer:
                return False
            record, state, due = answer
            if state and decode_state(state).failed_at:
                return dead_of(message_id, record, state)
            job = job_of(message_id, record, state)
            job.process_at = int(float(due))
            return job

        self._asking.once(looks.FIND, [base_of(queue)], [message_id], found, done)

    def dead(self, queue: QueueName, offset: int, limit: int, done: Done[list[DeadJob]]) -> None:
        self._asking.once(
            looks.DEAD,
            [base_of(queue)],
            [offset, limit],
            lambda rows: [dead_of(*row) for row in rows],
            done,
        )

    def redrive(self, queue: QueueName, message_id: str | None, done: Done[int]) -> None:
        if message_id is not None:
            self._asking.once(looks.REDRIVE, [base_of(queue)], [message_id], int, done)
            return

        def counted(stats: Stats | None, error: BaseException | None) -> None:
            if stats is None:
                done(None, error)
            else:
                self._redrive(queue, stats.dead, 0, done)

        self.stats(queue, counted)

    def _redrive(self, queue: QueueName, left: int, before: int, done: Done[int]) -> None:
        """Those that are dead now, in pieces that do not keep Redis from others."""
        some = min(left, REDRIVEN)

        def redriven(count: int | None, error: BaseException | None) -> None:
            if count is None:
                done(None, error)
            elif count < some or left == some:
                done(before + count, None)
            else:
                self._redrive(queue, left - count, before + count, done)

        self._asking.once(looks.REDRIVE, [base_of(queue)], ["all", some], int, redriven)

    def discard(self, queue: QueueName, message_id: str, done: Done[int]) -> None:
        self._asking.once(looks.DISCARD, [base_of(queue)], [message_id], int, done)

    def stats(self, queue: QueueName, done: Done[Stats]) -> None:
        def counted(answer: Any) -> Stats:
            known, active, delayed, dead = answer
            return Stats(max(0, known - active - delayed - dead), active, delayed, dead)

        self._asking.once(looks.STATS, [base_of(queue)], [], counted, done)
