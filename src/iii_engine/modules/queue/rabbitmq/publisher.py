"""What publishes: each message once, as long as the server may still have it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from iii_engine.modules.queue.rabbitmq.failures import told
from iii_engine.modules.queue.rabbitmq.link import ANSWER_SECONDS, Link
from iii_engine.storage.base import ServerLost

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel
    from aio_pika.message import Message

#: Seconds in which a message whose channel was closed says why.
REASON_SECONDS: Final = 0.1


class Publisher:
    """Methods raise `ServerLost`, or `StoreError` for a refusal."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.link = Link(url, self._alarmed)
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()
        #: Until when a message is waited for, and whether somebody is in a hurry.
        self._under_way: dict[asyncio.Timeout, bool] = {}

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
        elif (problem := self.problem) is not None:
            raise ServerLost(problem)
        with told(self._url):
            try:
                return await self._publish(message, exchange, key, hurry=hurry)
            except TimeoutError:
                if (problem := self.problem) is not None:
                    raise ServerLost(f"{problem}; what was sent may be stored later") from None
                raise ServerLost(
                    f"{self.link.where} cannot be reached: no answer; it is not known whether what "
                    "was sent is stored"
                ) from None

    async def _publish(self, message: Message, exchange: str, key: str, *, hurry: bool) -> bool:
        from pamqp.commands import Basic

        async with asyncio.timeout(ANSWER_SECONDS if hurry else None) as limit:
            self._under_way[limit] = hurry
            try:
                channel = await self._open_channel()
                target = (
                    await channel.get_exchange(exchange, ensure=False)
                    if exchange
                    else channel.default_exchange
                )
                answer = await target.publish(message, key, mandatory=True)
            finally:
                del self._under_way[limit]
        return isinstance(answer, Basic.Ack)

    async def _open_channel(self) -> AbstractChannel:
        """One for all, opened anew when the server has closed it for a wrong request."""
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                self._channel = await self.link.new_channel()
                self._channel.close_callbacks.add(self._on_close)
            return self._channel

    def _on_close(self, channel: object, error: BaseException | None) -> None:
        """The library ends what waits for a confirmation; this ends what it forgets."""
        self._end_soon(list(self._under_way), REASON_SECONDS)

    def _alarmed(self) -> None:
        """The first message during an alarm is what makes the server tell of it."""
        self._end_soon([limit for limit, hurry in self._under_way.items() if hurry], 0)

    def _end_soon(self, limits: list[asyncio.Timeout], seconds: float) -> None:
        end = asyncio.get_running_loop().time() + seconds
        for limit in limits:
            if not limit.expired():
                limit.reschedule(end)
