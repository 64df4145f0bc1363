"""Jobs on their way from a consumer of JetStream to this engine."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

    from iii_engine.modules.queue.jetstream.tries import Tried

#: Seconds that a request for jobs stays with the server.
LINGER_SECONDS: Final = 5
#: The status of a message that says that there is no such consumer, and of one that says why a
#: request has ended: for this reason if the consumer was deleted.
NOBODY: Final = "503"
CONFLICT: Final = "409"
DELETED: Final = "Consumer Deleted"


class Arrival:
    """A job that has arrived, and what is known of attempts at it."""

    __slots__ = ("message", "number", "tried")

    def __init__(self, message: Msg, tried: Tried | None) -> None:
        self.message = message
        self.number = message.metadata.sequence.stream
        self.tried = tried


class Lane:
    """Asks for as many jobs as somebody wants.

    A job that arrives is leased: the server gives it to somebody else unless it is renewed.
    """

    def __init__(
        self,
        client: Client,
        stream: str,
        consumer: str,
        look_up: Callable[[Msg], Awaitable[Arrival | None]],
        arrived: Callable[[], None],
        gone: Callable[[], None],
    ) -> None:
        """What `look_up` finds about a job is known before it is offered, and nothing is offered
        that it finds nothing about. `arrived` is called when there may be some, and `gone` when
        there is no such consumer."""
        self.buffer: deque[Arrival] = deque()
        self.subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._client = client
        self._look_up = look_up
        self._arrived = arrived
        self._gone = gone
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._asked = 0
        self._asked_until = 0.0

    async def open(self) -> None:
        self._inbox = self._client.new_inbox()
        on_message = partial(self._on_message, self._inbox)
        self._subscription = await self._client.subscribe(self._inbox, cb=on_message)

    async def close(self) -> None:
        """What has arrived and does not run goes back at once."""
        buffer, self.buffer = self.buffer, deque()
        await self._unsubscribe()
        for arrival in buffer:
            await arrival.message.nak()

    def forget(self) -> None:
        """What has arrived, or is on its way, may be somebody else's by now. `reopen` follows."""
        self.buffer.clear()
        self._inbox = ""

    async def reopen(self) -> None:
        await self._unsubscribe()
        self.forget_requests()
        await self.open()

    async def _unsubscribe(self) -> None:
        self._inbox = ""
        subscription, self._subscription = self._subscription, None
        if subscription is not None and not self._client.is_closed:
            await subscription.unsubscribe()

    async def want(self, count: int) -> None:
        """So many more could run, with those that have arrived."""
        now = asyncio.get_running_loop().time()
        if self._asked_until < now:
            self._asked = 0  # that request is over, or was lost with a connection
        missing = count - len(self.buffer) - self._asked
        if missing <= 0 or not self._inbox:
            return
        self._asked += missing
        self._asked_until = now + LINGER_SECONDS
        request = {"batch": missing, "expires": LINGER_SECONDS * 1_000_000_000}
        await self._client.publish(self.subject, json.dumps(request).encode(), self._inbox)

    def forget_requests(self) -> None:
        """The connection was another one when they were made."""
        self._asked = 0

    async def _on_message(self, inbox: str, message: Msg) -> None:
        if inbox != self._inbox:
            return  # asked for before `forget`
        if not message.reply:  # the end of a request
            self._asked = 0
            if _says_gone(message):
                self._gone()
                return
        else:
            self._asked = max(0, self._asked - 1)
            arrival = await self._look_up(message)
            if arrival is None or inbox != self._inbox:
                return
            self.buffer.append(arrival)
        self._arrived()


def _says_gone(message: Msg) -> bool:
    headers = message.headers or {}
    status = headers.get("Status")
    return status == NOBODY or (status == CONFLICT and headers.get("Description") == DELETED)
