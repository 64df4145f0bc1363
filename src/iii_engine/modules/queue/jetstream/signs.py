"""Signs of life of the engines that share a NATS."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from iii_engine.modules.queue.jetstream.records import found_or_none
from iii_engine.net.nats_client import NatsConnection

if TYPE_CHECKING:
    from nats.js import JetStreamContext

#: Seconds that a sign is kept.
KEPT_SECONDS: Final = 86_400.0

#: Seconds without a sign after which an engine has gone for good.
GONE_SECONDS: Final = 3600.0


class Signs:
    """Each engine gives one again and again. The server says when, so clocks need not agree.

    Methods raise `StoreError` and `ServerLost`.
    """

    def __init__(
        self,
        connection: NatsConnection,
        bucket: str,
        replicas: int,
        engine: str,
        lease_s: float,
    ) -> None:
        """Each gives three within the time of a lease."""
        self.engine = engine
        self._connection = connection
        self._bucket = bucket
        self._stream = f"KV_{bucket}"
        self._replicas = replicas
        self._lease_s = lease_s

    @property
    def _js(self) -> JetStreamContext:
        return self._connection.client.jetstream()

    async def open(self) -> None:
        """Make the bucket, and give the first sign."""
        making = self._js.create_key_value(
            bucket=self._bucket, replicas=self._replicas, ttl=KEPT_SECONDS
        )
        await self._connection.ask(making)
        await self.give()

    async def give(self) -> None:
        await self._connection.ask(self._js.publish(self._subject(self.engine), b""))

    async def others(self) -> bool:
        """Whether another engine has given one within the time of a lease."""
        root = self._subject("")
        info = await self._connection.ask(self._js.stream_info(self._stream, f"{root}>"))
        signed = [subject.removeprefix(root) for subject in info.state.subjects or ()]
        engines = [engine for engine in signed if engine != self.engine]
        return len(await self._silent(engines, self._lease_s)) < len(engines)

    async def alive(self, engines: list[str], patience: float) -> list[str]:
        """Those that gave a sign within so many seconds.

        Who seems to be silent is looked at twice: nobody could give one while the server was away.
        """
        silent = await self._silent(engines, patience)
        if silent:
            await asyncio.sleep(self._lease_s / 2)
            silent = await self._silent(silent, patience)
        return [engine for engine in engines if engine not in silent]

    async def known(self, engines: list[str]) -> list[str]:
        """Without those that have gone for good."""
        silent = await self._silent(engines, GONE_SECONDS)
        return [engine for engine in engines if engine not in silent]

    async def _silent(self, engines: list[str], patience: float) -> list[str]:
        if not engines:
            return []
        await self.give()
        now = await self._signed_at(self.engine)
        signs = [(engine, await self._signed_at(engine)) for engine in engines]
        return [engine for engine, at in signs if _before(at, now, patience)]

    async def _signed_at(self, engine: str) -> datetime | None:
        """When it gave its latest sign, by the clock of the server."""
        subject = self._subject(engine)
        found = await self._connection.ask(
            found_or_none(self._js.get_last_msg, self._stream, subject)
        )
        return None if found is None else found.time

    def _subject(self, engine: str) -> str:
        return f"$KV.{self._bucket}.alive.{engine}"


def _before(at: datetime | None, now: datetime | None, seconds: float) -> bool:
    if at is None or now is None:
        return at is None
    return now - at > timedelta(seconds=seconds)
