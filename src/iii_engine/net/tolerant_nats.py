"""The client of NATS, which reads on whatever other programs send, and hears why it is refused.

Needs the extra `nats`: import it where that is known to be there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from nats.aio.client import DEFAULT_BUFFER_SIZE, Client, Srv
from nats.aio.transport import TcpTransport

from iii_engine.core.once import Once

log = logging.getLogger("iii.nats")


class TolerantClient(Client):
    """Bytes that are no UTF-8 come as U+FFFD in names and headers; they ended the reading."""

    def __init__(self) -> None:
        super().__init__()
        self._unreadable = Once(log)
        #: Called when the server has answered a ping.
        self.on_answer: Callable[[], None] | None = None

    async def _process_pong(self) -> None:
        await super()._process_pong()
        if self.on_answer is not None:
            self.on_answer()

    async def _connect_to_server(self, s: Srv) -> None:
        if s.uri.scheme in ("ws", "wss"):
            await super()._connect_to_server(s)
            return
        s.last_attempt = time.monotonic()
        self._transport = OneLogin()
        await self._transport.connect(s.uri, DEFAULT_BUFFER_SIZE, self.options["connect_timeout"])

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        try:
            await super()._process_msg(sid, _text(subject), _text(reply), data, _text(headers))
        except (ValueError, IndexError) as error:
            self._unreadable.warn("what came on %.200r is no message: %s", subject, error)


class OneLogin(TcpTransport):
    """Sends the login and the PING behind it together.

    A server that refuses a login says so and closes. A PING that it has not read by then makes a
    reset of that, and a reset that is seen first takes the reason away.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._login = b""

    def write(self, payload: bytes) -> None:
        if payload.startswith(b"CONNECT "):
            self._login = payload
        else:
            super().write(self._login + payload)  # type: ignore[no-untyped-call]
            self._login = b""


def _text(raw: bytes) -> bytes:
    """Headers may be None, whatever the client says."""
    if not raw or raw.isascii():
        return raw
    return raw.decode("utf-8", "replace").encode()
