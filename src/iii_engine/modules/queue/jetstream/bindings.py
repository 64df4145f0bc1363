"""Which functions get what is published on a topic, for all engines of one NATS."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from iii_engine.net.nats_client import NatsConnection, text_of, token

if TYPE_CHECKING:
    from nats.js.kv import KeyValue

#: Seconds in which the bucket must have told everything.
OPEN_SECONDS: Final = 5.0


class Bindings:
    """In memory what a bucket has that every engine watches.

    `held` are those that have a worker at this engine: they are put back when another engine
    removes them.
    """

    def __init__(self, connection: NatsConnection, bucket: str, replicas: int) -> None:
        self.held: set[tuple[str, str]] = set()
        self._connection = connection
        self._bucket_name = bucket
        self._replicas = replicas
        self._bucket: KeyValue
        self._all: dict[tuple[str, str], None] = {}
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        js = self._connection.client.jetstream()
        self._bucket = await self._connection.ask(
            js.create_key_value(bucket=self._bucket_name, replicas=self._replicas)
        )
        known = asyncio.Event()
        self._task = asyncio.create_task(self._watch(known))
        await asyncio.wait_for(known.wait(), OPEN_SECONDS)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def functions(self, topic: str) -> list[str]:
        return [function for other, function in self._all if other == topic]

    def all(self) -> list[tuple[str, str]]:
        """Topic and function of each; the function is empty where nobody has subscribed yet."""
        return list(self._all)

    async def put(self, topic: str, function_id: str) -> None:
        self._all[(topic, function_id)] = None
        await self._connection.ask(self._bucket.put(_key(topic, function_id), b"bound"))

    async def remove(self, topic: str, function_id: str) -> None:
        self._all.pop((topic, function_id), None)
        await self._connection.ask(self._bucket.delete(_key(topic, function_id)))

    async def _watch(self, known: asyncio.Event) -> None:
        watcher = await self._bucket.watchall()
        async for entry in watcher:
            if entry is None:
                known.set()
                continue
            topic, _, function = entry.key.partition(".")
            binding = (text_of(topic), text_of(function))
            if entry.operation not in ("DEL", "PURGE"):
                self._all[binding] = None
            elif binding in self.held:
                await self.put(*binding)
            else:
                self._all.pop(binding, None)


def _key(topic: str, function_id: str) -> str:
    return f"{token(topic)}.{token(function_id)}"
