"""Another engine, as this one sees it."""

from __future__ import annotations

from typing import Final, NamedTuple

from iii_engine.core.cluster.link import Link
from iii_engine.core.sessions import Session
from iii_engine.core.standing import TRUSTED, Standing
from iii_sdk.protocol import RegisterFunction

#: First byte of what is no message of the wire protocol (those begin with a brace).
INTRODUCTION: Final = b"E"  # then the engine's metadata as JSON; the first message of a link
RETURNED: Final = b"R"  # then a call that the engine has no worker for
GUARDED: Final = b"P"  # then the party of a guarded worker, and its registration
GRANTED: Final = b"A"  # the same, where its auth function named the function

#: Characters of a party.
PARTY: Final = 64

#: How the router writes a call.
CALL: Final = b'{"type":"invokefunction"'


class Offer(NamedTuple):
    """What an engine says that it provides, and on whose behalf."""

    message: RegisterFunction
    standing: Standing = TRUSTED


class Peer:
    """`id` is of one run of that engine. `offers` is what it says it provides, taken or not."""

    def __init__(self, id: str, session: Session, link: Link, now_ns: int) -> None:
        self.id = id
        self.session = session
        self.link = link
        self.heard_ns = now_ns
        self.offers: dict[str, Offer] = {}
        session.unsent_bytes = lambda: link.queued_bytes

    @property
    def name(self) -> str:
        return self.session.metadata.name or self.id

    def load(self) -> list[tuple[int, bytes]]:
        """The packets that may leave now. What the link has no room for stays with the session,
        which refuses calls when that becomes too much."""
        session, link = self.session, self.link
        packets = list(link.packets())
        if not link.full and session.outbox:
            link.push(session.take())
            packets += link.packets()
        session.blocked = link.full
        return packets

    def unsent(self, number: int | None = None) -> list[bytes]:
        """The messages that it cannot have got: see `Link.unsent`."""
        return self.link.unsent(number) + self.session.take()
