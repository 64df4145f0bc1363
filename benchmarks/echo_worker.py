"""The worker of the bus and HTTP rows: it answers with what it got, as cheaply as it can.

`python -m benchmarks.echo_worker URL` prints `ready` once a call through the bus reached it.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec
from msgspec import Raw, Struct
from picows import WSTransport

from benchmarks import loops, wire
from benchmarks.batching import Batching, connect

ECHO = "bench::echo"
PAGE = "bench::page"
PAGE_PATH = "bench/page"
PAGE_RESULT = b'{"status_code":200,"body":{"message":"Hello, world!"}}'

_DATA = b'"data":'
_PROBE = wire.invocation_id(0)


class Envelope(Struct):
    invocation_id: str
    data: Raw


class EchoWorker(Batching):
    def __init__(self, ready: asyncio.Event) -> None:
        super().__init__()
        self._ready = ready
        self._checked = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        hello = [wire.register_function(ECHO), wire.register_function(PAGE)]
        hello.append(wire.register_http_route(PAGE, PAGE_PATH))
        hello.append(wire.call_head(ECHO) + _PROBE + wire.CALL_MIDDLE + b'{"probe":true}}')
        transport.underlying_transport.write(b"".join(map(wire.client_frame, hello)))

    def on_message(self, message: bytes) -> None:
        if message.startswith(b'{"type":"invokefunction"'):
            self._answer(message)
        elif message.startswith(wire.RESULT_HEAD) and wire.id_of(message) == _PROBE:
            self._ready.set()

    def _answer(self, message: bytes) -> None:
        call_id = wire.id_of(message)
        start = message.find(_DATA, 0, 600) + len(_DATA)
        result = message[start:-1]
        if not self._checked:
            self._check(message, call_id, result)
        if message.find(PAGE.encode(), 0, 400) >= 0:
            result = PAGE_RESULT
        size = len(wire.RESULT_HEAD) + len(wire.RESULT_MIDDLE) + 36 + len(result) + 1
        self.out += (
            wire.client_header(size),
            wire.RESULT_HEAD,
            call_id,
            wire.RESULT_MIDDLE,
            result,
            b"}",
        )

    def _check(self, message: bytes, call_id: bytes, data: bytes) -> None:
        """The short cuts above hold as long as a real decoder reads the same."""
        envelope = msgspec.json.decode(message, type=Envelope)
        if envelope.invocation_id.encode() != call_id or bytes(envelope.data) != data:
            raise ValueError(f"the system under test lays its messages out otherwise: {message!r}")
        self._checked = True


async def main(url: str) -> None:
    ready = asyncio.Event()
    transport = await connect(EchoWorker(ready), url)
    await asyncio.wait_for(ready.wait(), 10)
    print("ready", flush=True)
    await transport.wait_disconnected()


if __name__ == "__main__":
    loops.run(main(sys.argv[1]))
