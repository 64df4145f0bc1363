"""What publishes: each message once, as long as the server may still have it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from iii_engine.modules.queue.rabbitmq.failures import told
from iii_engine.modules.queue.rabbitmq.link import ANSWER_SECONDS, Link
from iii_engine.storage.base import ServerLost
from iii_engine.tasks import end_tasks

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel
    from aio_pika.message import Message

#: Seconds between looks whether an alarm is why nothing is confirmed: the first message during one
#: is what makes the server tell of it.
LOOK_SECONDS: Final = 0.1
#: Seconds in which a message whose channel was closed says why.
REASON_SECONDS: Final = 0.1


class Publisher:
    """Methods raise `ServerLost`, or `StoreError` for a refusal."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.link = Link(url)
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()

    @property
    def problem(self) -> str | None:
        """Why nothing can be published, though the server is there."""
        return self.link.blocked

    async def publish(self, message: Message, exchange: str, key: str, *, hurry: bool) -> bool:
        """True when the message is durable, False when no queue gets it.

        It waits as long as the server may still confirm: who publishes anew after an error does
        not make a second copy while the server only hangs, or has an alarm. Who is in a `hurry` is
        refused at once during an alarm, and has an error after `ANSWER_SECONDS`; what he has
        published may be stored all the same.
        """
        if not hurry:
            await self.link.taking()
            return await self._publish(message, exchange, key)
        if (problem := self.problem) is not None:
            raise ServerLost(problem)
        sent = asyncio.ensure_future(self._publish(message, exchange, key))
        try:
            with told(self._url):
                async with asyncio.timeout(ANSWER_SECONDS):
                    while not sent.done():
                        await asyncio.wait({sent}, timeout=LOOK_SECONDS)
                        if not sent.done() and (problem := self.problem) is not None:
                            raise ServerLost(f"{problem}; what was sent may be stored later")
                    return sent.result()
        finally:
            await end_tasks([sent])

    async def _publish(self, message: Message, exchange: str, key: str) -> bool:
        from pamqp.commands import Basic

        channel = await self._open_channel()
        with told(self._url):
            target = (
                await channel.get_exchange(exchange, ensure=False)
                if exchange
                else channel.default_exchange
            )
            sent = asyncio.ensure_future(target.publish(message, key, mandatory=True))
            gone = asyncio.ensure_future(channel.closed())
            try:
                await asyncio.wait({sent, gone}, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait({sent}, timeout=REASON_SECONDS)
                if sent.done():
                    return isinstance(sent.result(), Basic.Ack)
            finally:
                gone.cancel()
                await end_tasks([sent])
        raise ServerLost(f"{self.link.where} cannot be reached: its channel was closed")

    async def _open_channel(self) -> AbstractChannel:
        """One for all, opened anew when the server has closed it for a wrong request."""
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                self._channel = await self.link.new_channel()
            return self._channel
