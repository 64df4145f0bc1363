"""What one worker has registered and not taken back: nobody fills the engine with registrations."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from msgspec import Raw
from msgspec.structs import astuple

from iii_engine.core.sizes import MIB
from iii_sdk import protocol
from iii_sdk.protocol import NULL, ErrorBody

if TYPE_CHECKING:
    from iii_engine.core.sessions import Session

log = logging.getLogger("iii.engine")

#: Functions, triggers, trigger types and services of one worker, together.
MAX_REGISTRATIONS: Final = 10_000
#: All that is kept of them, in bytes of memory.
MAX_BYTES: Final = 64 * MIB

Offered: TypeAlias = (
    protocol.RegisterFunction
    | protocol.RegisterTriggerType
    | protocol.RegisterTrigger
    | protocol.RegisterService
)
TakenBack: TypeAlias = (
    protocol.UnregisterFunction | protocol.UnregisterTriggerType | protocol.UnregisterTrigger
)

_KINDS: Final[dict[type, str]] = {
    protocol.RegisterFunction: "function",
    protocol.UnregisterFunction: "function",
    protocol.RegisterTriggerType: "trigger type",
    protocol.UnregisterTriggerType: "trigger type",
    protocol.RegisterTrigger: "trigger",
    protocol.UnregisterTrigger: "trigger",
    protocol.RegisterService: "service",
}


class Ledger:
    """The book of one session. A registration that replaces one of its own counts once."""

    __slots__ = ("__weakref__", "_sizes", "size")

    def __init__(self) -> None:
        self._sizes: dict[tuple[str, str], int] = {}
        self.size = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def enter(self, message: Offered) -> ErrorBody | None:
        """Count a registration; or why there is no room for it, and then nothing changed."""
        key = _KINDS[type(message)], message.id
        size, before = _size(message), self._sizes.get(key)
        if before is None and len(self._sizes) >= MAX_REGISTRATIONS:
            return _full(f"{MAX_REGISTRATIONS} registrations")
        if self.size + size - (before or 0) > MAX_BYTES:
            return _full(f"{MAX_BYTES} bytes of registrations")
        self._sizes[key] = size
        self.size += size - (before or 0)
        detach(message)
        return None

    def strike(self, message: TakenBack) -> None:
        """The worker took a registration back."""
        self.size -= self._sizes.pop((_KINDS[type(message)], message.id), 0)


def entered(session: Session, message: Offered) -> ErrorBody | None:
    """Count a registration of the session; why not, if there is no room, which is logged once."""
    if session.ledger is None:
        session.ledger = Ledger()
    refusal = session.ledger.enter(message)
    if refusal is not None and "registrations" not in session.warned:
        session.warned.add("registrations")
        log.warning(
            "worker %s: %s %r and others are not registered: %s",
            session.name,
            _KINDS[type(message)],
            message.id,
            refusal.message,
        )
    return refusal


def _full(much: str) -> ErrorBody:
    return ErrorBody("registration_limit", f"a worker may have at most {much}")


def _size(part: object) -> int:
    """Bytes in memory of what is kept of a message, whatever its shape."""
    match part:
        case str() if part:
            return sys.getsizeof(part)
        case Raw():
            return len(part)
        case dict():
            return sum(_size(key) + _size(value) for key, value in part.items())
        case msgspec.Struct():
            return sum(map(_size, astuple(part)))
    return 0


def detach(message: Offered) -> None:
    """Let go of the frame, which may be much larger than the fields that are views of it."""
    for name in message.__struct_fields__:
        field = getattr(message, name)
        if isinstance(field, Raw) and field is not NULL:
            setattr(message, name, field.copy())
