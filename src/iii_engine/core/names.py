"""The ids of one session: what its worker calls things, and what the bus calls them.

They differ where the session has a prefix, or where a hook gave a registration another id.
"""

from __future__ import annotations

from msgspec import json


class _Pairs:
    """Ids that differ, at most one name for each thing, so they are no more than the things."""

    def __init__(self) -> None:
        self.mapped: dict[str, str] = {}  # by requested id
        self.requested: dict[str, str] = {}  # by mapped id

    def put(self, requested: str, mapped: str) -> None:
        self.drop(requested, mapped)
        if requested != mapped:
            self.mapped[requested] = mapped
            self.requested[mapped] = requested

    def drop(self, requested: str, mapped: str) -> None:
        """Forget both, whatever they stand for."""
        self.requested.pop(self.mapped.pop(requested, ""), None)
        self.mapped.pop(self.requested.pop(mapped, ""), None)


class Names:
    """Requested and mapped ids. Ids that are the same on both sides are not kept.

    Only what has room in the session's ledger may be mapped.
    """

    def __init__(self, prefix: str | None = None) -> None:
        self._prefix = prefix
        self._functions = _Pairs()
        self._types = _Pairs()
        self._triggers = _Pairs()

    def __len__(self) -> int:
        return sum(len(p.mapped) for p in (self._functions, self._types, self._triggers))

    # -- functions -------------------------------------------------------------------------------

    def prefixed(self, function_id: str) -> str:
        return function_id if self._prefix is None else f"{self._prefix}::{function_id}"

    def function(self, requested: str) -> str:
        """What the bus calls a function of this worker, registered or not."""
        return self._functions.mapped.get(requested) or self.prefixed(requested)

    def map_function(self, requested: str, mapped: str) -> None:
        """Remember a registration. A second name of the same function replaces the first."""
        self._functions.put(requested, mapped)

    def forget_function(self, requested: str) -> str:
        """What the bus called it."""
        mapped = self.function(requested)
        self._functions.drop(requested, mapped)
        return mapped

    def sent(self, mapped: str) -> bytes | None:
        """The id to call this worker by, as JSON; None when it is the bus's own."""
        requested = self._functions.requested.get(mapped)
        return None if requested is None else json.encode(requested)

    # -- trigger types and triggers --------------------------------------------------------------

    def trigger_type(self, requested: str) -> str:
        return self._types.mapped.get(requested, requested)

    def trigger_type_requested(self, mapped: str) -> str | None:
        """The worker's id of a type, when that is another one."""
        return self._types.requested.get(mapped)

    def map_trigger_type(self, requested: str, mapped: str) -> None:
        self._types.put(requested, mapped)

    def forget_trigger_type(self, requested: str) -> str:
        mapped = self._types.mapped.get(requested, requested)
        self._types.drop(requested, mapped)
        return mapped

    def map_trigger(self, requested: str, mapped: str) -> None:
        self._triggers.put(requested, mapped)

    def forget_trigger(self, requested: str) -> str:
        mapped = self._triggers.mapped.get(requested, requested)
        self._triggers.drop(requested, mapped)
        return mapped
