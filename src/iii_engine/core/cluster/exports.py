"""What this engine offers to others: the functions of its own workers.

Not those of its modules, which are about this engine, and not those of other engines, which these
offer themselves.
"""

from __future__ import annotations

from msgspec import Raw

from iii_engine.core.cluster.peer import GRANTED, GUARDED
from iii_engine.core.registry import Function, Registry
from iii_sdk import protocol
from iii_sdk.protocol import NULL, RegisterFunction, UnregisterFunction


class Exports:
    """The registrations that the other engines were told, as messages, and what has changed."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._told: dict[str, bytes] = {}
        self._changed: dict[str, None] = {}
        self._closed = False

    @property
    def all(self) -> list[bytes]:
        """For an engine that knows nothing yet: one registration per function."""
        return list(self._told.values())

    @property
    def pending(self) -> bool:
        return bool(self._changed)

    @property
    def changed(self) -> list[str]:
        """The ids that were noted since the last time."""
        return list(self._changed)

    def note(self, function_id: str) -> None:
        """Its providers have changed; `changes` will say whether that matters to others."""
        self._changed[function_id] = None

    def note_all(self) -> None:
        for function in self._registry:
            self.note(function.id)

    def close(self) -> None:
        """Offer nothing from now on."""
        self._closed = True
        for function_id in self._told:
            self.note(function_id)

    def changes(self) -> list[bytes]:
        """What the others must be told since the last time."""
        messages = []
        for function_id in self._changed:
            offer = self._offer(function_id)
            told = self._told.get(function_id)
            if offer == told:
                continue
            if offer is not None:
                self._told[function_id] = offer
                messages.append(offer)
            else:
                del self._told[function_id]
                messages.append(protocol.encode(UnregisterFunction(function_id)))
        self._changed.clear()
        return messages

    def serves(self, function_id: str) -> Function | None:
        """The function, if a worker of this engine provides it."""
        function = None if self._closed else self._registry.get(function_id)
        if function is None or function.module is not None or not function.is_here:
            return None
        return function

    def _offer(self, function_id: str) -> bytes | None:
        function = self.serves(function_id)
        if function is None:
            return None
        newest = function.newest
        party, granted = newest.standing
        prefix = (GRANTED if granted else GUARDED) + party.encode() if party else b""
        return prefix + protocol.encode(
            RegisterFunction(
                function_id,
                newest.description,
                _present(newest.request_format),
                _present(newest.response_format),
                _present(newest.metadata),
            )
        )


def _present(value: Raw) -> Raw:
    return NULL if protocol.is_null(value) else value
