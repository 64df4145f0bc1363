"""Functions that were here and have no provider now: they may come back."""

from __future__ import annotations

from typing import Final

#: Functions of trusted workers that are remembered, and as many of guarded ones.
REMEMBERED: Final = 10_000


class Departures:
    """The latest ones. Those of guarded workers have a list of their own, or they could fill both.

    Who waits for a function that is in it does not wait for a slip of the pen.
    """

    def __init__(self) -> None:
        self._trusted: dict[str, None] = {}
        self._guarded: dict[str, None] = {}

    def __contains__(self, function_id: str) -> bool:
        return function_id in self._trusted or function_id in self._guarded

    def note(self, function_id: str, party: str) -> None:
        """The last one who provided it is gone, who was of that party; empty for a trusted one."""
        self.forget(function_id)
        departed = self._guarded if party else self._trusted
        departed[function_id] = None
        if len(departed) > REMEMBERED:
            del departed[next(iter(departed))]

    def forget(self, function_id: str) -> None:
        """Nobody expects it any more."""
        self._trusted.pop(function_id, None)
        self._guarded.pop(function_id, None)

    def trusted(self, function_id: str) -> bool:
        """Whether a trusted worker had it last."""
        return function_id in self._trusted
