"""What one worker has registered and not taken back: nobody fills the engine with registrations."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Raw

from iii_sdk import protocol
from iii_sdk.protocol import ErrorBody

if TYPE_CHECKING:
    from iii_engine.core.sessions import Session

log = logging.getLogger("iii.engine")

#: Functions, triggers, trigger types and services of one worker, together.
MAX_REGISTRATIONS: Final = 10_000
#: Their ids, descriptions, formats, configs and metadata together, in bytes.
MAX_BYTES: Final = 64 * 1024 * 1024

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
            message.id[:200],
            refusal.message,
        )
    return refusal


def _full(much: str) -> ErrorBody:
    return ErrorBody("registration_limit", f"a worker may have at most {much}")


def _size(message: Offered) -> int:
    parts: tuple[Raw, ...] = ()
    match message:
        case protocol.RegisterFunction():
            parts = (message.request_format, message.response_format, message.metadata)
        case protocol.RegisterTriggerType():
            parts = (message.trigger_request_format, message.call_request_format)
        case protocol.RegisterTrigger():
            parts = (message.config, message.metadata)
    words = message.id, getattr(message, "description", None) or ""
    return sum(map(len, words)) + sum(map(len, parts))
