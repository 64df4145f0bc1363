"""A port that speaks HTTP/1.1 for an application that answers with what it was sent."""

from __future__ import annotations

import asyncio

from iii_engine.net.http_exchange import Exchange
from iii_engine.net.http_limits import HttpLimits
from iii_engine.net.http_listener import HttpListener

TEXT = b"content-type: text/plain\r\n"


class Echo:
    """Answers `<method> <target> <body>`; keeps requests to `/later` for the test."""

    def __init__(self) -> None:
        self.later: asyncio.Queue[Exchange] = asyncio.Queue()
        self.bodies: list[bytes] = []

    def on_request(self, exchange: Exchange) -> None:
        if exchange.target == "/later":
            self.later.put_nowait(exchange)
        elif exchange.target == "/ignore":
            exchange.respond(200, TEXT, b"ignored")
        elif exchange.target == "/crash":
            raise RuntimeError("crash")
        else:

            def done(body: bytes) -> None:
                self.bodies.append(body)
                line = f"{exchange.method} {exchange.target} ".encode()
                exchange.respond(200, TEXT, line + body)

            exchange.collect(100, done, lambda: exchange.respond(413, TEXT, b"too large"))


class Server:
    def __init__(self, limits: HttpLimits) -> None:
        self.app = Echo()
        self.listener = HttpListener(self.app, limits)
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def connect(self, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        writer.write(data)
        return reader, writer

    async def talk(self, data: bytes) -> bytes:
        reader, _ = await self.connect(data)
        return await asyncio.wait_for(reader.read(), 5)

    def age(self, seconds: float) -> None:
        """Let the deadlines pass, without waiting for them."""
        for connection in list(self.listener.connections):
            connection.check(self.listener.now + seconds)


def get(target: str, *lines: str, method: str = "GET") -> bytes:
    return "\r\n".join((f"{method} {target} HTTP/1.1", "Host: x", *lines, "", "")).encode()


CLOSE = "Connection: close"
