"""A relay in front of RabbitMQ that knows where frames begin and end.

It cuts the connection exactly where a test says, is silent, or says what no server would.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Final
from urllib.parse import urlsplit

#: Class and method of a frame (AMQP 0-9-1).
Method = tuple[int, int]

#: What a client asks for, by the name in the standard.
METHODS: Final[dict[str, Method]] = {
    "channel.open": (20, 10),
    "confirm.select": (85, 10),
    "queue.declare": (50, 10),
    "basic.qos": (60, 10),
    "basic.consume": (60, 20),
    "basic.publish": (60, 40),
    "basic.ack": (60, 80),
    "channel.close": (20, 40),
}
BLOCKED: Final[Method] = (10, 60)
UNBLOCKED: Final[Method] = (10, 61)
_METHOD_FRAME: Final = 1
_END: Final = b"\xce"


def frame(method: Method, arguments: bytes = b"") -> bytes:
    """A method on channel 0."""
    payload = struct.pack(">HH", *method) + arguments
    return struct.pack(">BHI", _METHOD_FRAME, 0, len(payload)) + payload + _END


class AmqpRelay:
    """`url` leads through it. `passed` counts what clients have asked for."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._url, self._target = url, (parts.hostname, parts.port)
        self._cut_at: tuple[Method, bytes] | None = None
        self._publishers: set[asyncio.StreamWriter] = set()
        self._clients: dict[asyncio.StreamWriter, asyncio.StreamWriter] = {}
        self._flows = asyncio.Event()
        self._flows.set()
        self._seen: list[Method] = []

    async def __aenter__(self) -> AmqpRelay:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()

    @property
    def url(self) -> str:
        port = self._server.sockets[0].getsockname()[1]
        return self._url.replace(f":{self._target[1]}", f":{port}")

    def count(self, name: str) -> int:
        """How often a client has asked for it."""
        return self._seen.count(METHODS[name])

    def cut_at(self, name: str, about: str = "") -> None:
        """Cut all connections instead of passing the next one on, about something of that name."""
        self._cut_at = METHODS[name], about.encode()

    @property
    def armed(self) -> bool:
        """Whether the cut is still to come."""
        return self._cut_at is not None

    def cut(self) -> None:
        for client, server in self._clients.items():
            client.transport.abort()
            server.transport.abort()
        self._clients.clear()

    def hang(self) -> None:
        """Nothing comes from the server any more, until `go_on`."""
        self._flows.clear()

    def go_on(self) -> None:
        self._flows.set()

    def say(self, said: bytes) -> None:
        """Tell clients that have published, as if the server had said it."""
        for client, server in self._clients.items():
            if server in self._publishers:
                client.write(said)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(*self._target)
        self._clients[writer] = to_server
        to_server.write(await reader.readexactly(8))  # the name of the protocol
        await asyncio.gather(
            self._pass(reader, to_server, asked=True), self._pass(from_server, writer, asked=False)
        )

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asked: bool
    ) -> None:
        try:
            while True:
                head = await reader.readexactly(7)
                rest = await reader.readexactly(struct.unpack(">I", head[3:])[0] + 1)
                if not asked:
                    await self._flows.wait()
                elif head[0] == _METHOD_FRAME:
                    self._look(rest, writer)
                writer.write(head + rest)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _look(self, asked: bytes, server: asyncio.StreamWriter) -> None:
        method = struct.unpack(">HH", asked[:4])
        self._seen.append(method)
        if method == METHODS["basic.publish"]:
            self._publishers.add(server)
        if self._cut_at is not None and self._cut_at[0] == method and self._cut_at[1] in asked:
            self._cut_at = None
            self.cut()
            raise ConnectionAbortedError
