"""How much the triggers without an owner may be: nobody's disconnect takes them away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from weakref import ref

from iii_engine.core.ledger import Ledger, entered
from iii_engine.core.sizes import MIB
from iii_sdk import protocol
from iii_sdk.protocol import ErrorBody

if TYPE_CHECKING:
    from iii_engine.core.sessions import Session
    from iii_engine.core.triggers import Trigger

#: Triggers without an owner, whoever made them.
MAX_TRIGGERS: Final = 10_000
#: Their ids, types, functions, configs and metadata together, in bytes.
MAX_BYTES: Final = 64 * MIB


@dataclass(frozen=True)
class _Entry:
    """A trigger's size, and the ledger of the worker that made it, while that is connected."""

    size: int
    ledger: ref[Ledger] | None


class Ownerless:
    """Counts triggers of `engine::register_trigger`, for all together and for their makers."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self.size = 0

    def __len__(self) -> int:
        return len(self._entries)

    def enter(self, trigger: Trigger, maker: Session | None) -> ErrorBody | None:
        """Count a trigger, in place of an earlier one of its id; or why there is no room for it.

        For the maker it is one of its registrations, until it is removed.
        """
        message = protocol.RegisterTrigger(
            trigger.id, trigger.type, trigger.function_id, trigger.config, trigger.metadata
        )
        earlier = self._entries.get(message.id)
        size, before = _size(message), 0 if earlier is None else earlier.size
        if earlier is None and len(self._entries) >= MAX_TRIGGERS:
            return _full(f"{MAX_TRIGGERS} triggers")
        if self.size + size - before > MAX_BYTES:
            return _full(f"{MAX_BYTES} bytes of triggers")
        if maker is not None and (refusal := entered(maker, message)) is not None:
            return refusal
        ledger = None if maker is None or maker.ledger is None else ref(maker.ledger)
        if earlier is not None and earlier.ledger != ledger:
            _strike(earlier, message.id)
        self._entries[message.id] = _Entry(size, ledger)
        self.size += size - before
        return None

    def strike(self, trigger_id: str) -> None:
        """The trigger is gone, or belongs to a worker now."""
        entry = self._entries.pop(trigger_id, None)
        if entry is not None:
            self.size -= entry.size
            _strike(entry, trigger_id)


def _strike(entry: _Entry, trigger_id: str) -> None:
    ledger = None if entry.ledger is None else entry.ledger()
    if ledger is not None:
        ledger.strike(protocol.UnregisterTrigger(trigger_id))


def _full(much: str) -> ErrorBody:
    text = f"there may be at most {much} without an owner; remove some with "
    return ErrorBody("registration_limit", text + "engine::unregister_trigger")


def _size(message: protocol.RegisterTrigger) -> int:
    words = message.id, message.trigger_type, message.function_id
    return sum(map(len, words)) + len(message.config) + len(message.metadata)
