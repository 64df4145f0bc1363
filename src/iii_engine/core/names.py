"""The ids of one session: what its worker calls things, and what the bus calls them.

They differ where the session has a prefix, or where a hook gave a registration another id.
"""

from __future__ import annotations

from msgspec import json


class Names:
    """Requested and mapped ids. Ids that are the same on both sides are not kept."""

    def __init__(self, prefix: str | None = None) -> None:
        self._prefix = prefix
        self._functions: dict[str, str] = {}  # requested → mapped
        self._sent: dict[str, bytes] = {}  # mapped → requested, as JSON
        self._requested: dict[str, str] = {}  # mapped → requested
        self._types: dict[str, str] = {}
        self._triggers: dict[str, str] = {}

    # -- functions -------------------------------------------------------------------------------

    def prefixed(self, function_id: str) -> str:
        return function_id if self._prefix is None else f"{self._prefix}::{function_id}"

    def function(self, requested: str) -> str:
        """What the bus calls a function of this worker, registered or not."""
        return self._functions.get(requested) or self.prefixed(requested)

    def map_function(self, requested: str, mapped: str) -> None:
        """Remember a registration. A second name of the same function replaces the first."""
        earlier = self._requested.pop(mapped, None)
        if earlier is not None:
            self._functions.pop(earlier, None)
            self._sent.pop(mapped, None)
        if requested != mapped:
            self._functions[requested] = mapped
            self._requested[mapped] = requested
            self._sent[mapped] = json.encode(requested)

    def forget_function(self, requested: str) -> str:
        """What the bus called it."""
        mapped = self.function(requested)
        self._functions.pop(requested, None)
        self._requested.pop(mapped, None)
        self._sent.pop(mapped, None)
        return mapped

    def sent(self, mapped: str) -> bytes | None:
        """The id to call this worker by, as JSON; None when it is the bus's own."""
        return self._sent.get(mapped)

    # -- trigger types and triggers --------------------------------------------------------------

    def trigger_type(self, requested: str) -> str:
        return self._types.get(requested, requested)

    def trigger_type_requested(self, mapped: str) -> str | None:
        """The worker's id of a type, when that is another one."""
        return next((own for own, ours in self._types.items() if ours == mapped), None)

    def map_trigger_type(self, requested: str, mapped: str) -> None:
        if requested != mapped:
            self._types[requested] = mapped

    def forget_trigger_type(self, requested: str) -> str:
        return self._types.pop(requested, requested)

    def map_trigger(self, requested: str, mapped: str) -> None:
        if requested != mapped:
            self._triggers[requested] = mapped

    def forget_trigger(self, requested: str) -> str:
        return self._triggers.pop(requested, requested)
