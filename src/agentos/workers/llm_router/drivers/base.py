"""What a driver is: it speaks one wire format to one endpoint, once. Retrying is not its task."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from agentos.workers.llm_router.conversation import Prompt, Reply, ToolCall
from agentos.workers.llm_router.endpoints import Endpoint

StreamItem = str | ToolCall | Reply
"""A piece of text, a complete call, or, last and once, the whole reply."""


class Driver(Protocol):
    """One wire format. Raises the errors of `failures.py`; cancelling it ends the request."""

    async def complete(self, endpoint: Endpoint, prompt: Prompt) -> Reply:
        """One completion, answered whole."""

    def stream(self, endpoint: Endpoint, prompt: Prompt) -> AsyncGenerator[StreamItem, None]:
        """One completion, answered in pieces."""

    async def aclose(self) -> None:
        """Give back connections."""
