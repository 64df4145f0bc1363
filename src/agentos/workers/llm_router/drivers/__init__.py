"""One file and one class per wire format; `base.py` names what a driver is.

A driver is imported when its first completion arrives, off the event loop: the official clients
take most of a second to import, and a system without keys never needs them.
"""

from __future__ import annotations

import asyncio
import importlib

from agentos.workers.llm_router.drivers.base import Driver

_WHERE = {
    "anthropic": ("anthropic", "AnthropicDriver"),
    "openai_compat": ("openai_compat", "OpenAICompatDriver"),
    "offline": ("offline", "OfflineDriver"),
}


class Drivers:
    """The drivers of one event loop, made on first use. Another loop gets new ones."""

    def __init__(self) -> None:
        self._made: dict[str, Driver] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def get(self, kind: str) -> Driver:
        """The driver of that wire format."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # Connections belong to the loop that opened them.
            self._made, self._loop = {}, loop
        driver = self._made.get(kind)
        if driver is None:
            driver = self._made.setdefault(kind, await asyncio.to_thread(_make, kind))
        return driver

    async def aclose(self) -> None:
        """Close every connection."""
        made, self._made = self._made, {}
        for driver in made.values():
            await driver.aclose()


def _make(kind: str) -> Driver:
    module_name, class_name = _WHERE[kind]
    module = importlib.import_module(f"{__package__}.{module_name}")
    driver: Driver = getattr(module, class_name)()
    return driver
