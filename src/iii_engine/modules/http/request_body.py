"""The body of a request on its way to the handler: read whole, or handed on through a channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from iii_engine.modules.http import failure
from iii_engine.modules.http.late_body import LateBody
from iii_engine.modules.http.payload import is_encoded, is_json_type, raw_fields, read_json

if TYPE_CHECKING:
    from iii_engine.modules.http.request import Request


class RequestBody:
    """One that is there, or on its way.

    `then(True)` is called when the handler may be called, `then(False)` when nobody waits any more.
    """

    __slots__ = ("_is_json", "_late", "_request", "_then")

    def __init__(self, request: Request, then: Callable[[bool], None]) -> None:
        self._request = request
        self._then: Callable[[bool], None] | None = then
        self._late: LateBody | None = None
        self._is_json = is_json_type(request.exchange.content_type)
        if request.route.raw_body and is_encoded(request.exchange.headers):
            self._is_json = False  # the handler asks for these bytes, and for no others

    def read(self) -> None:
        request = self._request
        exchange, route = request.exchange, request.route
        if self._is_json or route.raw_body or route.flat:
            limit = request.gateway.options.body_limit
            exchange.collect(limit, self._collected, self._too_large)
            if self._then is not None and not exchange.complete:
                self._late = LateBody(request, self._resume)
        else:
            exchange.stream(request.channels.feed())
            self._go_on(True)

    def forget(self) -> None:
        """It is of no use any more."""
        late, self._late = self._late, None
        if late is not None:
            late.forget()

    def give_up(self) -> None:
        """The request has been answered, or nobody waits for that."""
        self._go_on(False)

    def _go_on(self, ready: bool) -> None:
        then, self._then = self._then, None
        if then is not None:
            then(ready)

    def _collected(self, body: bytes) -> None:
        if self._late is not None:
            self._late.complete(body)
        else:
            self._use(body)

    def _resume(self, body: bytes) -> None:
        """It was late; it is there, and the request has a place again."""
        if self._request.resume():
            self._use(body)

    def _use(self, body: bytes) -> None:
        request = self._request
        if self._is_json:
            try:
                request.body = read_json(body)
            except ValueError:
                error_id = request.gateway.error_id()
                request.refuse(400, failure.body_of("Invalid JSON body", error_id=error_id))
                return
        elif not request.route.flat:
            feed = request.channels.feed()
            feed.on_body(body)
            feed.on_body_end()
        if request.route.raw_body:
            request.raw = raw_fields(body, self._is_json)
        self._go_on(True)

    def _too_large(self) -> None:
        self._request.refuse(413, failure.body_of("Payload Too Large"))
