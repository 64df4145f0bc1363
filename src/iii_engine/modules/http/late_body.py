"""Bodies that are read whole and were not there when their request's turn came.

Such a request gives its place away until its body is complete: a client that sends slowly keeps
nobody waiting. What such bodies may take, in time and memory, is bounded here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from iii_engine.core.sizes import MIB
from iii_engine.modules.http import failure

if TYPE_CHECKING:
    from iii_engine.modules.http.request import Request

#: What all late bodies of a listener may take together, in bytes.
LATE_BYTES = 512 * MIB


class LateBodies:
    """Those of one listener. Over the limit the one that has been under way longest is refused."""

    def __init__(self, limit: int = LATE_BYTES) -> None:
        self.limit = limit
        self.size = 0
        self._incomplete: dict[LateBody, None] = {}  # in the order of their beginning

    def add(self, body: LateBody) -> None:
        self._incomplete[body] = None

    def grew(self, size: int) -> None:
        self.size += size
        while self.size > self.limit and self._incomplete:
            next(iter(self._incomplete)).displace()

    def completed(self, body: LateBody) -> None:
        self._incomplete.pop(body, None)

    def remove(self, body: LateBody) -> None:
        self._incomplete.pop(body, None)
        self.size -= body.size
        body.size = 0


class LateBody:
    """One body, from when its request gave its place away until it has one again."""

    def __init__(self, request: Request, then: Callable[[bytes], None]) -> None:
        self.size = 0
        self._request = request
        self._then = then  # gets the body when the request has a place again
        self._body = b""
        gateway = request.gateway
        self._bodies = gateway.late_bodies
        self._timer = gateway.loop.call_later(request.remaining_ms() / 1000, self._too_late)
        request.release()
        self._bodies.add(self)
        request.exchange.on_growth = self.grew

    def grew(self, size: int) -> None:
        """So many bytes of it have arrived."""
        more, self.size = size - self.size, size
        self._bodies.grew(more)

    def complete(self, body: bytes) -> None:
        """It is there: go on when there is a place."""
        self._timer.cancel()
        self._bodies.completed(self)
        self.grew(len(body))
        self._body = body
        self._request.gateway.admission.ask(self, returns=True)

    def start(self) -> None:
        """The request has a place again."""
        body = self._body
        self.forget()
        self._then(body)

    def forget(self) -> None:
        """It is of no use any more, or in work."""
        self._timer.cancel()
        self._body = b""
        self._bodies.remove(self)
        self._request.gateway.admission.withdraw(self)

    def displace(self) -> None:
        """There is no memory for it."""
        self._bodies.remove(self)
        self._request.refuse(503, failure.body_of("Too many bodies"), failure.RETRY_SOON)

    def _too_late(self) -> None:
        self._request.refuse(408, failure.body_of("Request Timeout"))
