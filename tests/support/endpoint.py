"""An HTTP endpoint that answers with the very bytes a test gives it, and keeps what it was sent."""

from __future__ import annotations

import asyncio
import inspect
import json
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


@dataclass
class Request:
    """As it arrived; header names are lower-case."""

    method: str
    resource: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


#: Bytes to send, or None to say nothing and wait.
Answer = bytes | None


class Endpoint:
    """Use as `async with Endpoint(answer) as endpoint`.

    `close_after` ends the connection after that many responses on it. `connections` counts those
    that were ever made, `open` those that are.
    """

    def __init__(
        self,
        answer: Callable[[Request], Answer | Awaitable[Answer]],
        *,
        tls: ssl.SSLContext | None = None,
        close_after: int = 1_000_000,
        port: int = 0,
    ) -> None:
        self._answer = answer
        self._tls = tls
        self._close_after = close_after
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self.requests: list[Request] = []
        self.connections = 0
        self.open = 0

    async def __aenter__(self) -> Endpoint:
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self._port, ssl=self._tls
        )
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            for _ in range(self._close_after):
                request = await read(reader)
                self.requests.append(request)
                answer = self._answer(request)
                if inspect.isawaitable(answer):
                    answer = await answer
                if answer is None:
                    await reader.read()  # until the other side closes
                    return
                writer.write(answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def read(reader: asyncio.StreamReader) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    method, resource, _ = first.split(" ", 2)
    headers = {}
    for line in lines:
        name, value = line.split(":", 1)
        assert name.lower() not in headers, f"{name} twice"
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, resource, headers, body)


def answering(body: bytes = b"", status: str = "200 OK", *headers: str) -> bytes:
    """A response with a length."""
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def always(answer: bytes) -> Any:
    """An endpoint's answer to whatever it is asked."""
    return lambda request: answer
