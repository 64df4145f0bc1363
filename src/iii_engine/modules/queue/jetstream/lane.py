"""Jobs on their way from a consumer of JetStream to this engine."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

log = logging.getLogger("iii.queue")

#: Seconds that a request for jobs stays with the server.
LINGER_SECONDS: Final = 5


class Lane:
    """Asks for as many jobs as somebody wants; `arrived` is called when there are some.

    A job that arrives is leased: the server gives it to somebody else unless it is renewed.
    """

    def __init__(
        self,
        client: Client,
        stream: str,
        consumer: str,
        look_up: Callable[[Msg], Awaitable[None]],
        arrived: Callable[[], None],
    ) -> None:
        """What `look_up` finds about a job is known before it is offered."""
        self._look_up = look_up
        self.buffer: deque[Msg] = deque()
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._arrived = arrived
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._asked = 0
        self._asked_until = 0.0

    async def open(self) -> None:
        self._subscription = await self._client.subscribe(self._inbox, cb=self._on_message)

    async def close(self) -> None:
        """What has arrived and does not run goes back at once."""
        if self._subscription is not None and not self._client.is_closed:
            await self._subscription.unsubscribe()
        self._subscription = None
        while self.buffer:
            await self.buffer.popleft().nak()

    async def want(self, count: int) -> None:
        """So many more could run, with those that have arrived."""
        now = asyncio.get_running_loop().time()
        if self._asked_until < now:
            self._asked = 0  # that request is over, or was lost with a connection
        missing = count - len(self.buffer) - self._asked
        if missing <= 0 or self._subscription is None:
            return
        self._asked += missing
        self._asked_until = now + LINGER_SECONDS
        request = {"batch": missing, "expires": LINGER_SECONDS * 1_000_000_000}
        await self._client.publish(self._subject, json.dumps(request).encode(), self._inbox)

    def forget_requests(self) -> None:
        """The connection was another one when they were made."""
        self._asked = 0

    async def _on_message(self, message: Msg) -> None:
        if not message.reply:  # the end of a request
            self._asked = 0
        else:
            await self._look_up(message)
            self._asked = max(0, self._asked - 1)
            self.buffer.append(message)
        self._arrived()
