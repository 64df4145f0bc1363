"""`iii-queue`: topics and named queues whose jobs outlive workers and engine."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING

from iii_engine.modules.base import Module
from iii_engine.modules.queue.brokers import (
    broker_config,
    check_queue,
    make_broker,
    same_place,
)
from iii_engine.modules.queue.controls import Controls
from iii_engine.modules.queue.elsewhere import Elsewhere
from iii_engine.modules.queue.embedded import EmbeddedBroker
from iii_engine.modules.queue.gauges import Gauges
from iii_engine.modules.queue.leftovers import left_in_store
from iii_engine.modules.queue.offers import offers
from iii_engine.modules.queue.options import (
    BadQueue,
    BuiltinConfig,
    QueueOptions,
    bridge_url,
)
from iii_engine.modules.queue.pauses import OwnPauses
from iii_engine.modules.queue.queues import Queues
from iii_engine.modules.queue.steps import EnqueueStep

if TYPE_CHECKING:
    from iii_engine.modules.queue.remote import RemoteQueues

log = logging.getLogger("iii.queue")


class QueueModule(Module[QueueOptions]):
    """The broker keeps the jobs; consumers run them; the queues are what people see of both."""

    kind = "iii-queue"
    Options = QueueOptions
    #: The queues of another engine, when they are there.
    remote: RemoteQueues | None = None
    #: Jobs of an earlier adapter that nobody takes.
    _left: str | None = None

    @classmethod
    def check(cls, options: QueueOptions) -> None:
        bridged = bridge_url(options.adapter) is not None
        broker = None if bridged else broker_config(options.adapter)
        for name, config in options.queue_configs.items():
            config.check(name)
            if broker is not None:
                check_queue(broker, name, config)

    async def start(self) -> None:
        self.check(self.options)
        url = bridge_url(self.options.adapter)
        if url is not None:
            self._left = left_in_store(self.host.store)
            self._start_remote(url)
            return
        config = broker_config(self.options.adapter)
        if not isinstance(config, BuiltinConfig):
            self._left = left_in_store(self.host.store)
        if isinstance(config, BuiltinConfig):
            self._refuse_a_second()
        soon = self.host.loop.call_soon
        self.broker = make_broker(self.engine, self.host.store, soon, config)
        try:
            await self.broker.open()
        except BaseException:
            await self.broker.close()
            raise
        pauses = self.broker.pauses or OwnPauses(self.host.store)
        self.queues = Queues(self.engine, self.broker, pauses, soon)
        self.gauges = Gauges(self.queues, self.engine.meters)
        self.queues.subscribers.change(config)
        self.queues.subscribers.open()
        self.queues.configure(self.options.queues)
        self.engine.enqueue = self.queues.enqueuing
        if isinstance(self.broker, EmbeddedBroker):
            self.host.enqueue_step = partial(EnqueueStep, self.broker, self.queues.enqueuing)
        controls = Controls(self.queues)
        self._elsewhere = Elsewhere(self.engine.others, controls)
        self._elsewhere.open()
        for offer in offers(self.queues, controls, self._elsewhere):
            self.offer(
                offer.function_id,
                offer.handler,
                description=offer.description,
                request=offer.request,
                response=offer.response,
            )
        self.offer_type(self.queues.subscribers.kind, ("queue",))

    def _refuse_a_second(self) -> None:
        """Two would both run each job that is in the store."""
        for other in self.host.modules.values():
            if isinstance(other, QueueModule) and hasattr(other, "queues"):
                raise BadQueue(f"{other.name} already works on the jobs of this engine's store")

    def _start_remote(self, url: str) -> None:
        from iii_engine.modules.queue.remote import RemoteQueues

        if self.options.queue_configs:
            log.warning("queue_configs has no effect: the named queues are the other engine's")
        self.remote = remote = RemoteQueues(self.engine, url)
        for function_id, handler in remote.functions().items():
            self.offer(function_id, handler, description=f"{function_id} of another engine")
        self.engine.enqueue = self._remote_enqueue = remote.enqueue
        self.offer_type(remote.kind, ("queue",))

    def status(self) -> str:
        if self.remote is not None:
            return self._left or self.remote.status
        return (
            self.broker.problem or self._left or self.queues.leftovers.problem or super().status()
        )

    async def reconfigure(self, options: QueueOptions) -> bool:
        """In place, but for another adapter: jobs that run end under their old settings."""
        old, new = self.options.adapter, options.adapter
        if bridge_url(old) != bridge_url(new):
            return False
        if self.remote is not None:
            self.options = options
            return True
        if not same_place(old, new):
            return False
        self.queues.subscribers.change(broker_config(new))
        self.queues.configure(options.queues)
        self.options = options
        return True

    async def drain(self, seconds: float) -> None:
        if self.remote is not None:
            self.remote.leave()
            return
        self.queues.close()
        end = self.host.loop.time() + seconds
        while self.queues.running() and self.host.loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    async def quiesce(self) -> None:
        if self.remote is None:
            self.queues.close()

    async def stop(self) -> None:
        if hasattr(self, "queues"):
            self.queues.close()
            self.queues.abandon()
            self.gauges.close()
            self._elsewhere.close()
            if self.engine.enqueue is self.queues.enqueuing:
                self.engine.enqueue = None
                self.host.enqueue_step = None
            await self.broker.close()
        await super().stop()
        if self.remote is not None:
            if self.engine.enqueue is self._remote_enqueue:
                self.engine.enqueue = None
            await self.remote.close()
