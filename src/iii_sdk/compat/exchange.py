"""Handlers of HTTP requests that answer piece by piece."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from iii_sdk.codec import encode
from iii_sdk.compat.channels import ChannelReader, ChannelWriter, WritableStream


@dataclass
class HttpRequest:
    """A request without the way back."""

    path_params: dict[str, str]
    query_params: dict[str, str | list[str]]
    body: Any
    headers: dict[str, str | list[str]]
    method: str
    request_body: ChannelReader


@dataclass
class InternalHttpRequest(HttpRequest):
    """A request as an `http` trigger gives it, with the channel for the answer."""

    response: ChannelWriter


class HttpResponse:
    """The answer to a request: first status and headers, then bytes, then the end."""

    def __init__(self, writer: ChannelWriter) -> None:
        self.writer = writer

    async def status(self, status_code: int) -> None:
        """Set the status; it counts as long as no byte has left."""
        await self._control("set_status", "status_code", status_code)

    async def headers(self, headers: Mapping[str, str]) -> None:
        """Set headers; they count as long as no byte has left."""
        await self._control("set_headers", "headers", dict(headers))

    @property
    def stream(self) -> WritableStream:
        """The bytes of the body."""
        return self.writer.stream

    def close(self) -> None:
        """End the answer."""
        self.writer.close()

    async def _control(self, kind: str, name: str, value: object) -> None:
        await self.writer.send_message_async(encode({"type": kind, name: value}).decode())


def http(
    callback: Callable[[HttpRequest, HttpResponse], Awaitable[Any]],
) -> Callable[[Any], Awaitable[Any]]:
    """Make a handler for an `http` trigger of a callback that takes request and response.

    What the callback returns, if it is not None, is the whole answer.
    """

    @functools.wraps(callback)
    async def handler(data: Any) -> Any:
        given = vars(data) if isinstance(data, InternalHttpRequest) else data
        request = HttpRequest(
            given.get("path_params", {}),
            given.get("query_params", {}),
            given.get("body"),
            given.get("headers", {}),
            given.get("method", "GET"),
            given["request_body"],
        )
        return await callback(request, HttpResponse(given["response"]))

    # The handler's own signature counts, not the callback's.
    del handler.__wrapped__
    handler.__annotations__ = {}
    return handler
