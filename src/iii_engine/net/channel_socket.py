"""Sockets of channels: `/ws/channels/{channel_id}?key=<access_key>&dir=read|write`."""

from __future__ import annotations

import asyncio
from typing import Final, Literal
from urllib.parse import parse_qs

import picows
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)

from iii_engine.core.channels import Channel, Channels
from iii_engine.core.sessions import LARGE_MESSAGE
from iii_engine.net.assembly import (
    BINARY,
    CONTINUATION,
    FRAGMENT,
    MAX_FRAME,
    TEXT,
    Assembler,
    Violation,
)

PREFIX: Final = "/ws/channels/"

#: How long a peer may take to answer a Close frame.
CLOSE_SECONDS: Final = 2.0

_OPCODES = {
    WSMsgType.CONTINUATION: CONTINUATION,
    WSMsgType.TEXT: TEXT,
    WSMsgType.BINARY: BINARY,
}


def channel_listener(
    channels: Channels, request: picows.WSUpgradeRequest
) -> WSListener | WSUpgradeResponseWithListener:
    """The end for an upgrade request: 400 for a bad query, 404 for an unknown id or wrong key."""
    path, _, query = request.path.decode("latin-1").partition("?")
    channel_id = path.removeprefix(PREFIX)
    fields = parse_qs(query)
    key, direction = fields.get("key", [""])[-1], fields.get("dir", [""])[-1]
    if not key:
        return _refusal(400, "key is missing")
    if direction == "write":
        channel = channels.find(channel_id, key, "write")
        return _not_found() if channel is None else WriterSocket(channel)
    if direction == "read":
        channel = channels.find(channel_id, key, "read")
        return _not_found() if channel is None else ReaderSocket(channel)
    return _refusal(400, "dir must be read or write")


def _not_found() -> WSUpgradeResponseWithListener:
    return _refusal(404, "Channel not found")


def _refusal(status: Literal[400, 404], text: str) -> WSUpgradeResponseWithListener:
    response = WSUpgradeResponse.create_error_response(status, text.encode())
    return WSUpgradeResponseWithListener(response, None)


class _ChannelSocket(WSListener):
    """What both ends share: control frames, and closing from either side."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._transport: WSTransport | None = None
        self._attached = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._attached = True
        if not self._attach():
            self._attached = False
            self.end(WSCloseCode.POLICY_VIOLATION.value)

    def _attach(self) -> bool:
        raise NotImplementedError

    def _detach(self) -> None:
        raise NotImplementedError

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is WSMsgType.CLOSE:
            self._leave()
            if not transport.is_close_frame_sent:
                code = frame.get_close_code()
                transport.send_close(code if code != WSCloseCode.NO_INFO else WSCloseCode.OK)
            transport.disconnect()
        elif kind is WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind in _OPCODES and not transport.is_close_frame_sent:
            self._on_data(frame)

    def _on_data(self, frame: WSFrame) -> None:
        """Data frames of a reader are ignored."""

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._leave()
        self._transport = None

    def _leave(self) -> None:
        if self._attached:
            self._attached = False
            self._detach()

    def end(self, code: int) -> None:
        """The channel is over (called by the channel)."""
        self._attached = False
        self._close(code, "")

    def _close(self, code: int, reason: str) -> None:
        transport = self._transport
        if transport is None or transport.is_close_frame_sent:
            return
        transport.send_close(WSCloseCode(code), reason.encode())
        # Closing on unread data would throw the Close frame away: the peer answers it first.
        transport.underlying_transport.resume_reading()
        asyncio.get_running_loop().call_later(CLOSE_SECONDS, transport.disconnect)


class WriterSocket(_ChannelSocket):
    """The peer writes: its messages go into the channel one to one."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel)
        self._assembler = Assembler(LARGE_MESSAGE)

    def _attach(self) -> bool:
        return self._channel.attach_writer(self)

    def _detach(self) -> None:
        self._channel.finish()

    def _on_data(self, frame: WSFrame) -> None:
        if not self._attached:
            return
        try:
            if frame.rsv1 or frame.rsv2 or frame.rsv3:
                raise Violation(1002, "reserved bits are set")
            message = self._assembler.feed(
                _OPCODES[frame.msg_type], frame.fin, frame.get_payload_as_bytes()
            )
        except Violation as violation:
            self._leave()
            self._close(violation.code, violation.reason)
            return
        if message is not None:
            self._channel.write(message[0] == TEXT, message[1])

    def pause(self) -> None:
        if self._transport is not None:
            self._transport.underlying_transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None:
            self._transport.underlying_transport.resume_reading()


class ReaderSocket(_ChannelSocket):
    """The peer reads: the channel's frames go to it as fast as it takes them."""

    def _attach(self) -> bool:
        return self._channel.attach_reader(self)

    def _detach(self) -> None:
        self._channel.leave()

    def deliver(self, text: bool, data: bytes) -> None:
        transport = self._transport
        if transport is None:
            return
        kind = WSMsgType.TEXT if text else WSMsgType.BINARY
        if len(data) <= MAX_FRAME:
            transport.send(kind, data)
            return
        for start in range(0, len(data), FRAGMENT):
            fin = start + FRAGMENT >= len(data)
            transport.send(kind, data[start : start + FRAGMENT], fin)
            kind = WSMsgType.CONTINUATION

    def pause_writing(self) -> None:
        self._channel.hold()

    def resume_writing(self) -> None:
        self._channel.release()
