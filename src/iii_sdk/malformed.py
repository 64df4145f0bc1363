"""Frames that are not messages: why, and what could be read of them."""

from __future__ import annotations

import re
from typing import Final

#: A refusal quotes what was wrong, but not megabytes of it.
MAX_REASON: Final = 300
MAX_TYPE: Final = 64


class MalformedMessage(ValueError):
    """A frame that is not a message.

    `message_type`, `invocation_id` and `id` are what could be read of it.
    """

    def __init__(
        self,
        reason: str,
        message_type: str | None = None,
        invocation_id: str | None = None,
        id: str | None = None,
    ) -> None:
        super().__init__(reason[:MAX_REASON])
        self.message_type = message_type and message_type[:MAX_TYPE]
        self.invocation_id = invocation_id
        self.id = id


def unreadable(frame: bytes, reason: str) -> MalformedMessage:
    """What cannot be parsed, with type and invocation id if they stand where clients put them.

    Those are at the beginning, or behind the payload.
    """
    found = [_glimpse(name, frame[:_LOOKED]) or _glimpse(name, frame[-_LOOKED:]) for name in _NAMES]
    return MalformedMessage(reason, *found)


_LOOKED: Final = 1024
_NAMES: Final = (b"type", b"invocation_id")


def _glimpse(name: bytes, part: bytes) -> str | None:
    found: list[bytes] = re.findall(rb'"%b"\s*:\s*"([\w.:-]+)"' % name, part)
    return found[0].decode() if found else None
