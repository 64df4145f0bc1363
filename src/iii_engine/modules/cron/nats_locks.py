"""Locks in NATS: keys of a bucket in which nothing lives longer than a lock."""

from __future__ import annotations

import logging

from iii_engine.modules.adapters import NatsConfig
from iii_engine.modules.cron.server_locks import ServerLocks
from iii_engine.net.nats_client import ANSWER_SECONDS, NatsConnection
from iii_engine.storage.nats.bucket import Bucket, Entry
from iii_engine.storage.nats.names import Names

log = logging.getLogger("iii.cron")


class NatsLocks(ServerLocks):
    """See `Locks`. All engines at one server should have the same `ttl_ms`: it is the bucket's."""

    def __init__(self, config: NatsConfig, owner: str, ttl_ms: int) -> None:
        super().__init__(owner, ttl_ms)
        self._config = config
        self._connection = NatsConnection(config.nats_url)
        self._lock_names = Names(f"{config.prefix}_cron_locks")
        self._run_names = Names(f"{config.prefix}_cron_runs")

    async def open(self) -> None:
        await self._connection.open()
        try:
            self._locks, self._runs = (
                Bucket(self._connection, names, answer_seconds=ANSWER_SECONDS)
                for names in (self._lock_names, self._run_names)
            )
            await self._connection.ask(self._make())
        except BaseException:
            await self._connection.close()
            raise
        await super().open()

    async def _make(self) -> None:
        await self._runs.make(self._config.replicas)
        kept = await self._locks.make(self._config.replicas, seconds=self.ttl_ms / 1000)
        if kept != self.ttl_ms / 1000:
            log.warning("the bucket of locks keeps them for %s s, as it was made", kept)

    async def close(self) -> None:
        await super().close()
        await self._connection.close()

    async def _greet(self) -> None:
        await self._connection.ask(self._locks.greet())

    async def _take(self, key: str, token: str, job: str, remember_ms: int | None) -> bool:
        return await self._connection.ask(self._taken(key, token, job, remember_ms))

    async def _taken(self, key: str, token: str, job: str, remember_ms: int | None) -> bool:
        subject, value = self._lock_names.of_record("lock", key), token.encode()
        revision = 0
        while not await self._locks.put(subject, value, revision, 0, f"take:{token}:{revision}"):
            held = await self._locks.get(subject)
            if held is not None and held.value == value:
                break
            if held is not None and held.value is not None:
                return False
            revision = 0 if held is None else held.revision  # it has just ended
        if remember_ms is not None:
            await self._known(job, remember_ms, remember_ms)
        return True

    async def _prolong(self, key: str, token: str) -> None:
        await self._connection.ask(self._prolonged(key, token))

    async def _prolonged(self, key: str, token: str) -> None:
        subject = self._lock_names.of_record("lock", key)
        held = await self._locks.get(subject)
        if held is None or held.value == token.encode():
            revision = 0 if held is None else held.revision
            await self._locks.put(subject, token.encode(), revision, 0, f"{token}:{revision}")

    async def _release(self, key: str, token: str) -> None:
        await self._connection.ask(self._released(key, token))

    async def _released(self, key: str, token: str) -> None:
        subject = self._lock_names.of_record("lock", key)
        held = await self._locks.get(subject)
        if held is not None and held.value == token.encode():
            await self._locks.put(subject, None, held.revision, 0, f"{token}:end")

    async def _since(self, job: str, now_ms: int, oldest_ms: int) -> int:
        return await self._connection.ask(self._known(job, now_ms, oldest_ms))

    async def _known(self, job: str, now_ms: int, oldest_ms: int) -> int:
        """The latest instant, which is now when there is none from `oldest_ms` on."""
        subject = self._run_names.of_record("run", job)
        while True:
            entry = await self._runs.get(subject)
            known = _instant(entry)
            if known is not None and known >= oldest_ms:
                return known
            if await self._put(subject, job, now_ms, 0 if entry is None else entry.revision):
                return now_ms

    async def _put(self, subject: str, job: str, instant_ms: int, revision: int) -> bool:
        """Whether it was still this revision."""
        token = f"{self._owner}:{job}:{instant_ms}:{revision}"
        return await self._runs.put(subject, b"%d" % instant_ms, revision, 0, token)


def _instant(entry: Entry | None) -> int | None:
    """In milliseconds; one that no engine wrote is none."""
    value = b"" if entry is None or entry.value is None else entry.value
    return int(value) if value.isdigit() and len(value) <= 15 else None
