"""What Autobahn tests: the worker listener with an echo in the place of the bus.

`python -m tests.autobahn.echo_server` prints its port. Everything but the echo is the engine's own:
upgrade, assembly of messages, pings, closing, sizes, UTF-8.
"""

from __future__ import annotations

import asyncio

import picows
import uvloop

from iii_engine.core.clock import SystemClock, SystemIds
from iii_engine.core.engine import Engine
from iii_engine.net.assembly import TEXT, text_frames
from iii_engine.net.message_socket import MessageSocket
from iii_engine.net.websocket import Limits, WorkerListener


class EchoSocket(MessageSocket):
    """Sends every message back with its opcode."""

    def on_message(self, kind: int, payload: bytes) -> None:
        assert self.transport is not None
        if kind == TEXT and not self.transport.is_close_frame_sent:
            self.transport.underlying_transport.write(b"".join(text_frames(payload)))
        else:
            self.transport.send(picows.WSMsgType.BINARY, payload)


async def serve() -> None:
    limits = Limits()
    listener = WorkerListener(
        Engine(SystemClock(), SystemIds()),
        asyncio.get_running_loop(),
        limits=limits,
        worker=lambda _listener, _who: EchoSocket(limits.max_message),
    )
    print("listening", await listener.open("127.0.0.1", 0), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve())
