"""Who subscribes to topics at this engine, and what becomes of the jobs of who does no more."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection
from functools import partial

from iii_engine.modules.queue.jetstream.bindings import Binding, Bindings
from iii_engine.modules.queue.jetstream.kept import JetQueue
from iii_engine.modules.queue.job import QueueName


class Topics:
    """Changes of one topic go one after another. Methods raise `StoreError` and `ServerLost`."""

    def __init__(
        self,
        bindings: Bindings,
        queue: Callable[[QueueName], JetQueue],
        running: Callable[[QueueName], Collection[int]],
        now_ms: Callable[[], int],
    ) -> None:
        """`running` tells the numbers of the jobs that run at this engine."""
        self._bindings = bindings
        self._queue = queue
        self._running = running
        self._now_ms = now_ms
        self._changing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def bind(self, binding: Binding) -> None:
        async with self._changing[binding[0]]:
            if binding in self._bindings.held:
                await self._bindings.hold(binding)
                await self._adopt(binding)

    async def adopt(self, binding: Binding) -> None:
        """What was stored for the first function of the topic is for this one."""
        async with self._changing[binding[0]]:
            if binding in self._bindings.held:
                await self._adopt(binding)

    async def _adopt(self, binding: Binding) -> None:
        topic, function_id = binding
        await self._bindings.remove_early(topic)
        queue = self._queue(QueueName(topic, True, function_id))
        await self._queue(QueueName(topic, True)).move(queue, self._now_ms())

    async def unbind(self, binding: Binding, reason: str, patience: float) -> int | None:
        """Bury what waits, unless another engine wants it, and then tell the row's revision.

        Others count that gave a sign of life within so many seconds.
        """
        async with self._changing[binding[0]]:
            if binding in self._bindings.held:
                return None
            revision = await self._bindings.release(binding, patience)
            if revision is not None:
                await self._bury(binding, reason, revision)
            return revision

    async def bury_late(self, binding: Binding, reason: str, revision: int) -> None:
        """And what others stored before they heard of it. The row stays as long as jobs do."""
        async with self._changing[binding[0]]:
            queue = await self._bury(binding, reason, revision)
            if not any(await queue.stats()):
                await self._bindings.forget(binding, revision)

    async def _bury(self, binding: Binding, reason: str, revision: int) -> JetQueue:
        """Unless somebody has subscribed again. What runs here may still end well."""
        topic, function_id = binding
        queue = self._queue(QueueName(topic, True, function_id))
        still = partial(self._bindings.is_still, binding, revision)
        await queue.bury_all(reason, self._now_ms(), self._running(queue.name), still)
        return queue
