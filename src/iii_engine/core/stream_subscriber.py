"""One socket that watches streams: what it subscribed to, and what waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Raw

from iii_engine.core.sizes import MIB
from iii_engine.core.stream_messages import Wanted
from iii_sdk.protocol import NULL

#: Messages that may wait for a socket that does not read; one more closes it.
MAX_WAITING: Final = 64
#: The same in bytes; a single message may be larger.
MAX_WAITING_BYTES: Final = 16 * MIB

#: Joins of one socket that may wait for a decision; with more it is not read until half are made.
MAX_ASKING: Final = 64

#: Close code of a socket that does not keep up.
TRY_AGAIN: Final = 1013


#: Events held back for one subscription while its values are read; one more closes the socket.
MAX_HELD: Final = 1000


class Subscription:
    """What one `join` asked for. `held` keeps changes back until the first message has left."""

    __slots__ = ("held", "held_bytes", "open", "over", "place", "reads", "subscriber", "wanted")

    def __init__(self, subscriber: Subscriber, wanted: Wanted) -> None:
        self.subscriber = subscriber
        self.wanted = wanted
        self.place = (wanted.stream_name, wanted.group_id, wanted.id)
        self.open = False  # admitted; `held` until it is synced
        self.over = False
        self.held: list[bytes] | None = None
        self.held_bytes = 0
        self.reads = 0  # how often its values were asked for: only the newest answer counts

    def hold(self, message: bytes) -> None:
        """Keep a change back."""
        assert self.held is not None
        if len(self.held) >= MAX_HELD or self.held_bytes > MAX_WAITING_BYTES:
            self.subscriber.overflow()
        else:
            self.held.append(message)
            self.held_bytes += len(message)

    def hold_back(self) -> None:
        """Keep changes back from now on."""
        if self.held is None:
            self.held, self.held_bytes = [], 0

    def release(self) -> list[bytes]:
        """What was held back, in order; from now on nothing is."""
        held, self.held = self.held or [], None
        return held


class Subscriber:
    """A connection of a client, `context` being what the auth function said of it.

    `outbox` holds whole messages for the transport. `wake` tells it that the first one arrived;
    `drain` asks it to take now what it can. `read` tells it whether to read on.
    """

    __slots__ = (
        "_asking",
        "_held",
        "blocked",
        "close_code",
        "close_reason",
        "context",
        "counted",
        "drain",
        "name",
        "outbox",
        "outbox_bytes",
        "read",
        "subscriptions",
        "unsent_bytes",
        "wake",
    )

    def __init__(
        self,
        wake: Callable[[], None],
        drain: Callable[[], None],
        *,
        name: str = "a subscriber",
        context: Raw = NULL,
    ) -> None:
        self.wake = wake
        self.drain = drain
        self.name = name
        self.context = context
        self.subscriptions: dict[str, Subscription] = {}
        self.read: Callable[[bool], None] = _ignore
        self._asking = 0  # joins that wait for a decision, also of subscriptions that are over
        self._held = False  # not read meanwhile
        self.outbox: list[bytes] = []
        self.outbox_bytes = 0
        self.blocked = False  # the transport takes nothing for now
        self.unsent_bytes: Callable[[], int] = _nothing_unsent  # of what the transport took
        self.counted = False  # by the backlog
        self.close_code = 0
        self.close_reason = ""

    @property
    def owed(self) -> int:
        """Bytes that it has not read."""
        return self.outbox_bytes + self.unsent_bytes()

    @property
    def full(self) -> bool:
        waiting = len(self.outbox)
        return waiting >= MAX_WAITING or self.outbox_bytes > MAX_WAITING_BYTES

    def send(self, message: bytes) -> None:
        """Queue one message; who does not read is closed instead of making others wait."""
        if self.close_code:
            return
        if self.full:
            if not self.blocked:
                self.drain()
            if self.full:
                self.overflow()
                return
        if not self.outbox:
            self.wake()
        self.outbox.append(message)
        self.outbox_bytes += len(message)

    def asked(self) -> None:
        """Somebody is asked about one of its joins."""
        self._asking += 1
        if self._asking >= MAX_ASKING and not self._held:
            self._held = True
            self.read(False)

    def answered(self) -> None:
        """Somebody has decided about one of its joins."""
        self._asking -= 1
        if self._held and self._asking <= MAX_ASKING // 2:
            self._held = False
            self.read(True)

    def take(self) -> list[bytes]:
        """The queued messages, which are the transport's from now on."""
        messages, self.outbox = self.outbox, []
        self.outbox_bytes = 0
        return messages

    def close(self, code: int, reason: str) -> None:
        """Ask the transport to close after what is queued."""
        if self.close_code == 0:
            self.close_code, self.close_reason = code, reason
            self.wake()

    def overflow(self) -> None:
        """Forget what it is owed, and close: it cannot be told everything any more."""
        self.take()
        self.close(TRY_AGAIN, "does not keep up")


def _nothing_unsent() -> int:
    return 0


def _ignore(reading: bool) -> None:
    pass
