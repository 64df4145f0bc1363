"""The least that tells many sockets of a change: one frame, made once, written to each.

It takes the call that `watchers` makes, forwards its payload to all who came by `/stream/…`, and
answers; it stores nothing and knows neither groups nor slow readers.
"""

from __future__ import annotations

import asyncio

import picows
from msgspec import Raw, Struct, json
from picows import WSFrame, WSListener, WSMsgType, WSTransport

from benchmarks import loops
from benchmarks.bare_relay import port_of
from benchmarks.wire import RESULT_HEAD, RESULT_MIDDLE, server_header


class Call(Struct):
    invocation_id: str
    data: Raw


_decode = json.Decoder(Call).decode


class Watcher(WSListener):
    def __init__(self, watchers: set[WSTransport]) -> None:
        self._watchers = watchers

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._watchers.add(transport)
        transport.send(WSMsgType.TEXT, b'{"type":"stream","event":{"type":"sync","data":[]}}')

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._watchers.discard(transport)


class Publisher(WSListener):
    def __init__(self, watchers: set[WSTransport]) -> None:
        self._watchers = watchers

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            return
        call = _decode(frame.get_payload_as_bytes())
        message = b'{"type":"stream","event":{"type":"update","data":%b}}' % call.data
        whole = server_header(len(message)) + message
        for watcher in self._watchers:
            watcher.underlying_transport.write(whole)
        answer = b"".join((RESULT_HEAD, call.invocation_id.encode(), RESULT_MIDDLE, b"null}"))
        transport.underlying_transport.write(server_header(len(answer)) + answer)


async def main() -> None:
    watchers: set[WSTransport] = set()

    def route(request: picows.WSUpgradeRequest) -> WSListener:
        watching = request.path.startswith(b"/stream/")
        return Watcher(watchers) if watching else Publisher(watchers)

    server = await picows.ws_create_server(route, "127.0.0.1", 0, enable_auto_pong=True)
    print("listening", port_of(server), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    loops.run(main())
