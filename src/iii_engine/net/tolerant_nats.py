"""The client of NATS, which reads on whatever other programs send.

Needs the extra `nats`: import it where that is known to be there.
"""

from __future__ import annotations

import logging

from nats.aio.client import Client

from iii_engine.core.once import Once

log = logging.getLogger("iii.nats")


class TolerantClient(Client):
    """Bytes that are no UTF-8 come as U+FFFD in names and headers; they ended the reading."""

    def __init__(self) -> None:
        super().__init__()
        self._unreadable = Once(log)

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        try:
            await super()._process_msg(sid, _text(subject), _text(reply), data, _text(headers))
        except (ValueError, IndexError) as error:
            self._unreadable.warn("what came on %.200r is no message: %s", subject, error)


def _text(raw: bytes) -> bytes:
    """Headers may be None, whatever the client says."""
    if not raw or raw.isascii():
        return raw
    return raw.decode("utf-8", "replace").encode()
