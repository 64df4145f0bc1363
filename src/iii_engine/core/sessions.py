"""A session is one connection of one worker: its identity, its outbox, its limits."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Final

from iii_engine.core.sizes import MIB
from iii_engine.core.vitals import Vitals
from iii_sdk.protocol import WorkerMetadata

if TYPE_CHECKING:
    from iii_engine.core.access import Access
    from iii_engine.core.ledger import Ledger
    from iii_engine.core.registrations import Registrations

log = logging.getLogger("iii.registry")

#: Largest message a receiver accepts, in bytes. Published Python clients read at most 1 MiB.
LARGE_MESSAGE = 64 * MIB
SMALL_MESSAGE = 1 * MIB

#: A worker that does not read is owed at most this much; then calls to it are refused.
OUTBOX_BYTES = 64 * MIB
OUTBOX_MESSAGES = 10_000

#: What waits for a worker leaves at the end of the loop's tick, and at once when it is more than
#: this, in bytes: so it can read while its next messages are made. Then it is looked at how much
#: it was owed already.
SLOW_BYTES = 128 * 1024

#: What even a peer that is owed answers only may not exceed: then it is closed with 1013.
OUTBOX_LIMIT = 2 * OUTBOX_BYTES

#: The engine stops reading from a worker with this many unanswered calls, until half are answered.
#: A worker that works on calls itself is read on, for its answers, up to the larger number.
MAX_OUTSTANDING = 10_000
OUTSTANDING_LIMIT = 100_000

#: The payloads that the engine itself holds for unanswered calls (of its modules, and for queues)
#: stop it in the same way, in bytes. Smaller ones are not counted: their number is bounded.
HEAVY_BYTES = 64 * 1024
MAX_WEIGHT = 64 * MIB
WEIGHT_LIMIT = 256 * MIB


class Status(Enum):
    CONNECTED = "connected"
    OVERFLOWED = "overflowed"  # nothing more is sent; the transport is about to close
    GONE = "disconnected"


_CONNECTED: Final = Status.CONNECTED


class Session:
    """One connection.

    `epoch` grows with every connection of the engine: what a session registered belongs to that
    epoch, so the late clean-up of an old connection can only remove its own. `outbox` holds whole
    messages that wait for the transport; `wake` tells the transport that the first one arrived.
    """

    __slots__ = (
        "_group",
        "_offers",
        "access",
        "active",
        "blocked",
        "caller_ending",
        "close_code",
        "close_reason",
        "connected_at_ns",
        "counted",
        "drain",
        "epoch",
        "functions",
        "headers",
        "held",
        "id",
        "ip",
        "is_engine",
        "ledger",
        "max_message",
        "metadata",
        "on_pause",
        "on_resume",
        "outbox",
        "outbox_bytes",
        "outstanding",
        "paused",
        "reattach_token",
        "registrations",
        "status",
        "timeout_ms",
        "unsent_bytes",
        "vitals",
        "wake",
        "warned",
        "weight",
    )

    def __init__(
        self,
        id: str,
        epoch: int,
        *,
        ip: str,
        connected_at_ns: int,
        reattach_token: str,
        wake: Callable[[Session], None],
        access: Access | None = None,
        headers: dict[str, str] | None = None,
        is_engine: bool = False,
    ) -> None:
        self.id = id
        self.is_engine = is_engine  # another one, which offers what its own workers provide
        self.epoch = epoch
        self.ip = ip
        self.headers = headers or {}
        self.connected_at_ns = connected_at_ns
        self.reattach_token = reattach_token
        self.access = access
        self.registrations: Registrations | None = None  # of a session with an access
        self.wake = wake
        self.status = Status.CONNECTED
        self.metadata = WorkerMetadata()
        self.vitals: Vitals | None = None  # what it reports about its process, if anything
        self._group: tuple[str | int, ...] | None = None
        self._offers = 0  # the hashes of its functions together: equal sets have equal ones
        self.max_message = LARGE_MESSAGE
        self.functions: dict[str, None] = {}
        self.ledger: Ledger | None = None  # of what it has registered, once it has
        self.timeout_ms = 0  # of calls from and to it that bring no deadline; 0 for none
        self.active = 0  # calls it is working on
        self.outstanding = 0  # calls it waits for
        self.weight = 0  # bytes of the large payloads that are held for its calls
        self.outbox: list[bytes] = []
        self.outbox_bytes = 0
        self.unsent_bytes: Callable[[], int] = _nothing_unsent  # of what the transport took
        self.blocked = False  # the transport takes nothing for now
        self.counted = False  # by the backlog
        self.paused = False  # the engine does not read from it for now
        self.held = False  # its registrations wait for a decision
        self.drain = _take_nothing  # asks the transport to take now what it can
        self.on_pause: Callable[[], None] | None = None
        self.on_resume: Callable[[], None] | None = None
        self.close_code = 0  # set by the core when the transport must close
        self.close_reason = ""
        self.warned: set[str] = set()
        #: Ends the frame of a call whose payload names its caller, in place of two closing braces.
        self.caller_ending = f',"_caller_worker_id":"{id}"}}}}'.encode()

    def send(self, frame: bytes) -> None:
        """Queue one whole message."""
        if self.status is not _CONNECTED:
            return
        outbox = self.outbox
        if not outbox:
            self.wake(self)
        outbox.append(frame)
        self.outbox_bytes += len(frame)
        if self.outbox_bytes > SLOW_BYTES:
            self._bound()

    def _bound(self) -> None:
        """A peer that reads nothing is not read either, and goes when it is owed too much."""
        if not self.blocked:
            self.drain()
        if self.owed > OUTBOX_LIMIT:
            self.overflow()
            return
        if self.overloaded:
            self.pause()
        if self.blocked:
            self.wake(self)  # the transport counts what it cannot take

    def take(self) -> list[bytes]:
        """The queued messages, which are the transport's from now on."""
        frames = self.outbox
        self.outbox = []
        self.outbox_bytes = 0
        if self.paused:
            self.consider()
        return frames

    def asked(self) -> None:
        """It has made a call: enough of them unanswered, and the engine stops reading."""
        if self.active == 0 and (self.outstanding >= MAX_OUTSTANDING or self.weight > MAX_WEIGHT):
            self.pause()

    def burden(self, weight: int) -> None:
        """It has made a call whose large payload is held."""
        self.weight += weight
        self.asked()

    def lighten(self, weight: int) -> None:
        """A large payload of its calls is let go."""
        self.weight -= weight
        if self.paused:
            self.consider()

    def pause(self) -> None:
        """Read nothing more from it for now."""
        if not self.paused:
            self.paused = True
            if self.on_pause is not None:
                self.on_pause()

    def consider(self) -> None:
        """Read from it again, if what it was paused for is over."""
        if self.active == 0:
            relieved = self.outstanding <= MAX_OUTSTANDING // 2 and self.weight <= MAX_WEIGHT // 2
        else:
            relieved = self.outstanding <= OUTSTANDING_LIMIT
        if relieved and not self.overloaded and not self.held:
            self.paused = False
            if self.on_resume is not None:
                self.on_resume()

    def close(self, code: int, reason: str = "") -> None:
        """Ask the transport to close after what is queued."""
        if self.close_code == 0:
            self.close_code, self.close_reason = code, reason
            self.wake(self)

    def overflow(self) -> None:
        """Forget what it is owed, and close: it cannot be told everything any more."""
        self.status = Status.OVERFLOWED
        self.take()
        self.close(1013, "outbound queue overflowed")

    @property
    def owed(self) -> int:
        """Bytes that it has not read."""
        return self.outbox_bytes + self.unsent_bytes()

    @property
    def overloaded(self) -> bool:
        """Too much is waiting for this worker to read it."""
        return len(self.outbox) >= OUTBOX_MESSAGES or self.owed >= OUTBOX_BYTES

    @property
    def name(self) -> str:
        return self.metadata.name or self.id

    def precedes(self, other: Session | None) -> bool:
        """Whether `other` is a later connection of the same program, with the same rights.

        Then what still arrives on this one is older than what the later one said. Name and pid are
        what a worker says of itself: they give it no place before workers with other rights.
        """
        if other is None or self.epoch >= other.epoch or self.metadata.pid is None:
            return False
        access = self.access
        if not (other.access is None if access is None else access.same_party(other.access)):
            return False
        return (self.ip, self.metadata.pid, self.metadata.name) == (
            other.ip,
            other.metadata.pid,
            other.metadata.name,
        )

    def left_behind(self, what: str, other: Session | None) -> bool:
        """Whether a registration is too old to apply, as its thing is a later connection's."""
        if not self.precedes(other):
            return False
        text = "%s of worker %s is left as its later connection has it"
        log.warning(text, what, self.name)
        return True

    def offers(self, function_id: str) -> None:
        """It provides a function."""
        if function_id not in self.functions:
            self.functions[function_id] = None
            self._offers ^= hash(function_id)
            self._group = None

    def withdraws(self, function_id: str) -> None:
        """It does not provide a function any more."""
        if function_id in self.functions:
            del self.functions[function_id]
            self._offers ^= hash(function_id)
            self._group = None

    @property
    def group(self) -> tuple[str | int, ...]:
        """The group that it belongs to; computed anew after `regroup`."""
        if self._group is None:
            self._group = self._find_group()
        return self._group

    def regroup(self) -> None:
        """The metadata changed."""
        self._group = None

    def _find_group(self) -> tuple[str | int, ...]:
        """Instances of the same program share a group, and with it the calls (wire protocol 5.5).

        A name of its own makes the group; a default name `<host>:<pid>` does not, then the project
        and the set of functions do.
        """
        if self.is_engine:
            return ("engine",)
        meta = self.metadata
        if meta.pid is None and meta.name is None:
            return (self.id,)
        runtime = meta.runtime or "unknown"
        name = meta.name or ""
        if name and not (meta.pid is not None and name.endswith(f":{meta.pid}")):
            return (runtime, "name", name)
        project = (meta.telemetry.project_name if meta.telemetry else None) or ""
        return (runtime, "project", project, len(self.functions), self._offers)


def _take_nothing() -> None:
    pass


def _nothing_unsent() -> int:
    return 0
