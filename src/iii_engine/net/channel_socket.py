"""Sockets of channels: `/ws/channels/{channel_id}?key=<access_key>&dir=read|write`."""

from __future__ import annotations

from typing import Final, Literal
from urllib.parse import parse_qs

import picows
from picows import (
    WSCloseCode,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)

from iii_engine.core.channel import BROKEN, FINISHED, Channel
from iii_engine.core.channels import Channels
from iii_engine.core.sessions import LARGE_MESSAGE
from iii_engine.net.assembly import FRAGMENT, MAX_FRAME, TEXT
from iii_engine.net.message_socket import MessageSocket

PREFIX: Final = "/ws/channels/"


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


class _ChannelSocket(MessageSocket):
    """What both ends share: attaching to the channel, and leaving it once."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(LARGE_MESSAGE)
        self._channel = channel
        self._attached = False

    def on_open(self, transport: WSTransport) -> None:
        self._attached = True
        if not self._attach():
            self.end(WSCloseCode.POLICY_VIOLATION.value)

    def on_end(self) -> None:
        if self._attached:
            self._attached = False
            self._detach()

    def _attach(self) -> bool:
        raise NotImplementedError

    def _detach(self) -> None:
        raise NotImplementedError

    def end(self, code: int) -> None:
        """The channel is over (called by the channel)."""
        self._attached = False
        self.close(code)


class WriterSocket(_ChannelSocket):
    """The peer writes: its messages go into the channel one to one."""

    def _attach(self) -> bool:
        return self._channel.attach_writer(self)

    def _detach(self) -> None:
        self._channel.finish(FINISHED if self.closed_by_peer else BROKEN)

    def on_message(self, kind: int, payload: bytes) -> None:
        self._channel.write(kind == TEXT, payload)

    def pause(self) -> None:
        if self.transport is not None:
            self.transport.underlying_transport.pause_reading()

    def resume(self) -> None:
        if self.transport is not None:
            self.transport.underlying_transport.resume_reading()


class ReaderSocket(_ChannelSocket):
    """The peer reads: the channel's frames go to it as fast as it takes them."""

    def _attach(self) -> bool:
        return self._channel.attach_reader(self)

    def _detach(self) -> None:
        self._channel.leave()

    def end(self, code: int) -> None:
        super().end(FINISHED if code == BROKEN else code)

    def deliver(self, text: bool, data: bytes) -> None:
        transport = self.transport
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
        super().pause_writing()
        self._channel.hold()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._channel.release()
