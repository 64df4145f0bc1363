"""A function that a worker registers and the engine requests from an HTTP endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from msgspec import Raw

from iii_sdk.bindings import Binding
from iii_sdk.protocol import RegisterFunction


@dataclass(frozen=True)
class HttpFunction:
    """Its registration, which says where it is, and the events that call it."""

    message: RegisterFunction
    bindings: tuple[Binding, ...]

    @property
    def id(self) -> str:
        return self.message.id

    def ids(self) -> Iterator[tuple[str, Raw]]:
        """The id with its metadata."""
        yield self.id, self.message.metadata
