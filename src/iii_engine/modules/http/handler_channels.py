"""The two channels that each handler is offered: one with the body, one for its answer.

Hardly a handler uses them, so only their ids and keys are made; the channels come with the
handler's connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iii_engine.core.channel import Channel
from iii_engine.modules.http.streaming import BodyFeed, ResponseStream

if TYPE_CHECKING:
    from iii_engine.modules.http.request import Request


class HandlerChannels:
    """Those of one request."""

    __slots__ = ("_body", "_body_id", "_read_key", "_request", "_table", "_write_key", "stream")

    def __init__(self, request: Request) -> None:
        self._request = request
        engine = request.gateway.engine
        self._table = engine.channels
        response = request.channel_id
        self._body_id = f"{response[:19]}b{response[20:]}"
        self._read_key = engine.ids.secret_uuid()
        self._write_key = engine.ids.secret_uuid()
        self._body: Channel | None = None
        #: What the handler writes, once it has connected for that.
        self.stream: ResponseStream | None = None

    def feed(self) -> BodyFeed:
        """Make the channel of the body; returns what fills it."""
        self._body = channel = self._table.open(self._body_id, "", self._read_key)
        return BodyFeed(self._request.exchange, channel)

    def offer(self) -> bytes:
        """Let the handler connect. Returns the last fields of its payload."""
        response = self._request.channel_id
        if self._body is None:
            self._table.claim(self, response, self._body_id)
        else:
            self._table.claim(self, response)
        return (
            f',"request_body":{{"channel_id":"{self._body_id}","access_key":"{self._read_key}",'
            f'"direction":"read"}},"response":{{"channel_id":"{response}",'
            f'"access_key":"{self._write_key}","direction":"write"}}}}'
        ).encode()

    def open_channel(self, channel_id: str) -> Channel:
        """The handler connects to one of them (called by the channel table)."""
        if channel_id == self._body_id:
            self._body = body = self._table.open(channel_id, "", self._read_key)
            body.finish()
            return body
        channel = self._table.open(channel_id, self._write_key, "")
        request = self._request
        self.stream = ResponseStream(
            request.exchange,
            channel,
            request.answer_lines,
            on_begin=request.release,
            on_end=request.done,
            on_lost=request.stream_lost,
        )
        request.stream_connected(self.stream)
        return channel

    def finish(self) -> None:
        """The request has its answer: the handler may still read what has come of the body."""
        self._drop()
        if self._body is not None:
            self._body.finish()
        if self.stream is not None:
            self._end_stream()

    def cut(self) -> None:
        """The client has gone: nothing more comes, and nobody reads."""
        if self._body is not None:
            self._body.close()
        self._end_stream()
        self._drop()

    def _end_stream(self) -> None:
        stream = self.stream
        if stream is not None and not stream.ended:
            stream.ended = True
            stream.channel.close()

    def _drop(self) -> None:
        self._table.drop(self._request.channel_id, self._body_id)
