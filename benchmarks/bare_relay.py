"""The baseline of the bus rows: the least a relay in this language and with this library must do.

It decodes the envelope of each frame, looks the function up, remembers who called, and forwards
the payload as raw bytes; everything for one peer in one loop tick leaves in one write. No tracing,
no limits, no access check, no store, no triggers.

`python -m benchmarks.bare_relay` prints `listening <port>` and serves until it is ended.
"""

from __future__ import annotations

import asyncio

import msgspec
import picows
from msgspec import Raw, Struct
from picows import WSFrame, WSListener, WSMsgType, WSTransport

from benchmarks import loops
from benchmarks.wire import server_header

NULL = Raw(b"null")


class Register(Struct, tag_field="type", tag="registerfunction"):
    id: str


class Invoke(Struct, tag_field="type", tag="invokefunction", gc=False):
    function_id: str
    invocation_id: str | None = None
    data: Raw = NULL


class Result(Struct, tag_field="type", tag="invocationresult", gc=False):
    invocation_id: str
    result: Raw = NULL


_decode = msgspec.json.Decoder(Register | Invoke | Result).decode


class Relay:
    """Functions, the calls under way, and the peers with something to write."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.functions: dict[str, Peer] = {}
        self.pending: dict[str, Peer] = {}
        self._loop = loop
        self._dirty: list[Peer] = []

    def route(self, request: picows.WSUpgradeRequest) -> WSListener:
        return Peer(self)

    def call(self, caller: Peer, call_id: str, function_id: str, data: Raw | bytes) -> None:
        callee = self.functions.get(function_id)
        if callee is None:
            return
        self.pending[call_id] = caller
        head = f'{{"type":"invokefunction","invocation_id":"{call_id}","function_id":'.encode()
        callee.send(b"".join((head, b'"', function_id.encode(), b'","data":', data, b"}")))

    def mark(self, peer: Peer) -> None:
        """Write what the peer is owed at the end of this loop tick."""
        if not self._dirty:
            self._loop.call_soon(self._flush)
        self._dirty.append(peer)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for peer in dirty:
            peer.flush()


class Peer(WSListener):
    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._outbox: list[bytes] = []
        self._transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.CLOSE:
            transport.disconnect()
            return
        try:
            message = _decode(frame.get_payload_as_bytes())
        except msgspec.ValidationError:  # a kind of message that a bare relay does not know
            return
        kind = type(message)
        if kind is Result:
            caller = self._relay.pending.pop(message.invocation_id, None)
            if caller is not None:
                caller.answer(message.invocation_id, message.result)
        elif kind is Invoke:
            self._relay.call(self, message.invocation_id, message.function_id, message.data)
        else:
            self._relay.functions[message.id] = self

    def answer(self, call_id: str, result: Raw) -> None:
        head = f'{{"type":"invocationresult","invocation_id":"{call_id}","result":'.encode()
        self.send(b"".join((head, result, b"}")))

    def send(self, message: bytes) -> None:
        if not self._outbox:
            self._relay.mark(self)
        self._outbox += (server_header(len(message)), message)

    def flush(self) -> None:
        outbox, self._outbox = self._outbox, []
        if self._transport is not None:
            self._transport.underlying_transport.write(b"".join(outbox))


async def listen(relay: Relay) -> asyncio.Server:
    """Accept workers on a free port."""
    return await picows.ws_create_server(
        relay.route, "127.0.0.1", 0, max_frame_size=64 * 1024 * 1024, enable_auto_pong=True
    )


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


async def main() -> None:
    server = await listen(Relay(asyncio.get_running_loop()))
    print("listening", port_of(server), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    loops.run(main())
