"""`iii-cron`: the trigger type `cron`.

Each tick of a job runs once, however many workers register it. Runs of a job do not overlap, nor
on engines that share their locks, and unless a trigger asks for more, ticks that pass during a run
or while nobody looked are skipped.
"""

from __future__ import annotations

from iii_engine.core.triggers import Trigger, TriggerType
from iii_engine.modules.base import Host, Module, schema
from iii_engine.modules.cron.bound import BoundJob
from iii_engine.modules.cron.config import BadJob, CronConfig, CronEvent, check_future, read_config
from iii_engine.modules.cron.lock_choice import make_locks, read_choice
from iii_engine.modules.cron.locks import Locks
from iii_engine.modules.cron.options import CronOptions


class CronModule(Module[CronOptions]):
    """Jobs are the triggers; they live as long as those."""

    kind = "iii-cron"
    Options = CronOptions

    def __init__(self, name: str, options: CronOptions, host: Host) -> None:
        super().__init__(name, options, host)
        #: By job key, and by the ids of their triggers.
        self.jobs: dict[str, BoundJob] = {}
        self._bound: dict[str, BoundJob] = {}
        #: None until it has started.
        self.locks: Locks | None = None

    @classmethod
    def check(cls, options: CronOptions) -> None:
        read_choice(options)

    async def start(self) -> None:
        locks = make_locks(read_choice(self.options), self.host)
        await locks.open()
        self.locks = locks
        self.offer_type(
            TriggerType(
                "cron",
                "Calls a function at the times of a cron expression, or at equal distances",
                schema(CronConfig),
                schema(CronEvent),
                bind=self._bind,
                unbind=self._unbind,
            )
        )

    async def reconfigure(self, options: CronOptions) -> bool:
        """In place: jobs go on with other locks."""
        locks = make_locks(read_choice(options), self.host)
        await locks.open()
        before, self.locks, self.options = self.locks, locks, options
        for job in self.jobs.values():
            job.change(locks)
        if before is not None:
            await before.close()
        return True

    def status(self) -> str:
        return (self.locks and self.locks.problem) or super().status()

    async def quiesce(self) -> None:
        self._close_jobs()

    async def stop(self) -> None:
        self._close_jobs()
        self.jobs.clear()
        self._bound.clear()
        await super().stop()
        if self.locks is not None:
            await self.locks.close()

    def _bind(self, trigger: Trigger) -> None:
        if trigger.id in self._bound:
            raise BadJob(f"Cron job '{trigger.id}' is already registered")
        config = read_config(trigger)
        check_future(config, self.engine.clock.now_ns())
        key = config.job_key(trigger.function_id)
        job = self._bound[trigger.id] = self.jobs.get(key) or self._make(key)
        job.add(trigger, config)

    def _make(self, key: str) -> BoundJob:
        assert self.locks is not None

        def forget() -> None:
            if self.jobs.get(key) is job:
                del self.jobs[key]

        job = self.jobs[key] = BoundJob(self.engine, self.locks, key, forget)
        return job

    def _unbind(self, trigger: Trigger) -> None:
        job = self._bound.pop(trigger.id, None)
        if job is not None:
            job.remove(trigger.id)

    def _close_jobs(self) -> None:
        for job in self.jobs.values():
            job.close()
