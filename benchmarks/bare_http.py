"""The baseline of the HTTP row: an httptools responder in the process of the bare relay.

Each request becomes one call of the page function through the relay; the body of its result goes
back as it is. No routes, no headers, no limits. Prints `listening <relay port> <http port>`.
"""

from __future__ import annotations

import asyncio
from typing import cast

import httptools
import msgspec
from msgspec import Raw, Struct

from benchmarks import loops
from benchmarks.bare_relay import Peer, Relay, listen, port_of
from benchmarks.echo_worker import PAGE


class Page(Struct):
    body: Raw


_decode = msgspec.json.Decoder(Page).decode


class Gateway(Peer):
    """A caller inside the relay's process: answers come as method calls, not as frames."""

    def __init__(self, relay: Relay) -> None:
        super().__init__(relay)
        self._bus = relay
        self._waiting: dict[str, Responder] = {}
        self._number = 0

    def request(self, responder: Responder, path: bytes) -> None:
        self._number += 1
        call_id = f"00000000-0000-4000-c000-{self._number:012x}"
        self._waiting[call_id] = responder
        data = b'{"method":"GET","path":"%b"}' % path
        self._bus.call(self, call_id, PAGE, data)

    def answer(self, call_id: str, result: Raw) -> None:
        self._waiting.pop(call_id).respond(_decode(result).body)


class Responder(asyncio.Protocol):
    """One HTTP connection."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by descent

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._path = url

    def on_message_complete(self) -> None:
        self._gateway.request(self, self._path)

    def respond(self, body: Raw) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                % (len(body), body)
            )


async def main() -> None:
    loop = asyncio.get_running_loop()
    relay = Relay(loop)
    gateway = Gateway(relay)
    bus = await listen(relay)
    server = await loop.create_server(lambda: Responder(gateway), "127.0.0.1", 0)
    print("listening", port_of(bus), port_of(server), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    loops.run(main())
