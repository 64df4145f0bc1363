"""A client that answers all messages of one read with one write, as the engine does."""

from __future__ import annotations

import picows
from picows import WSFrame, WSListener, WSMsgType, WSTransport

_PING = WSMsgType.PING


class Batching(WSListener):
    """Connect it with `connect`. What `on_message` puts into `out` leaves at the end of the read.

    The end is the frame that is the last of its read. picows would answer pings itself and show
    them to nobody, and behind a ping that was the last one everything in `out` would stay until
    the next message, which never comes when that is what the peer waits for. So pings are answered
    here.
    """

    def __init__(self) -> None:
        self.out: list[bytes] = []

    def on_message(self, message: bytes) -> None:
        """A whole message, in one frame."""
        raise NotImplementedError

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is _PING:
            transport.send_pong(frame.get_payload_as_bytes())
        else:
            self.on_message(frame.get_payload_as_bytes())
        if frame.last_in_buffer and self.out:
            self.flush(transport)

    def flush(self, transport: WSTransport) -> None:
        out, self.out = self.out, []
        transport.underlying_transport.write(b"".join(out))


async def connect(client: Batching, url: str) -> WSTransport:
    """Open its connection."""
    transport, _ = await picows.ws_connect(
        lambda: client, url, max_frame_size=64 * 1024 * 1024, enable_auto_pong=False
    )
    return transport
