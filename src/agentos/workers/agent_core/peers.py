"""Calls to workers that may not be deployed.

A turn begins with the engine's list of functions; what is not on it is not called at all, so that
a missing worker costs nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TypeVar

from agentos.workers.agent_core.models import FunctionInfo, FunctionList
from agentos.workers.agent_core.settings import GATE_SECONDS
from iii_sdk import Bus, BusError, Unavailable

log = logging.getLogger("agentos.agent_core")

NOT_FOUND = "function_not_found"

T = TypeVar("T")

_warned: set[str] = set()


class Peers:
    """The functions on the bus as this turn sees them. `strict`: an absent guard is a failure."""

    def __init__(self, bus: Bus, functions: list[FunctionInfo], strict: bool = False) -> None:
        self.bus = bus
        self.functions = functions
        self.strict = strict
        self._ids = {function.function_id for function in functions}

    @classmethod
    async def look(cls, bus: Bus, strict: bool = False) -> Peers:
        """Ask the engine what there is. Raises `BusError` when it does not answer."""
        listed = await bus.call(
            "engine::functions::list", {}, kind=FunctionList, timeout=GATE_SECONDS
        )
        return cls(bus, listed.functions, strict)

    def has(self, function_id: str) -> bool:
        return function_id in self._ids

    async def ask(
        self,
        function_id: str,
        data: Mapping[str, object],
        kind: type[T],
        timeout: float = GATE_SECONDS,
    ) -> T | None:
        """The answer, or None when the function is not deployed (and guards are not strict).

        Raises `BusError` for every other failure; `Unavailable` for an absent guard in strict mode.
        """
        if self.has(function_id):
            try:
                return await self.bus.call(function_id, data, kind=kind, timeout=timeout)
            except BusError as error:
                if error.code != NOT_FOUND or function_id not in error.message:
                    raise
                self._ids.discard(function_id)  # it left after we looked
        if self.strict:
            raise Unavailable(f"{function_id} is not deployed")
        if function_id not in _warned:
            _warned.add(function_id)
            log.warning("%s is not deployed: skipped", function_id)
        return None

    def tell(self, function_id: str, data: Mapping[str, object]) -> None:
        """Send without waiting, when somebody is there to hear it."""
        if self.has(function_id):
            self.bus.send(function_id, data)
