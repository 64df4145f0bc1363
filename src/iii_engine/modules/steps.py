"""Changes of several modules in one transaction of the store, and so in one commit.

A module that changes the store through a `Step` can have its change stand alone, as a function, or
beside those of other modules: `engine::transact`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from msgspec import Raw

from iii_engine.core.router import Call
from iii_engine.storage.base import Store, Transaction


@dataclass(frozen=True)
class Outcome:
    """What a step did. Nothing of a transaction is kept when one of its steps is not applied."""

    answer: bytes
    applied: bool
    #: Called with the cause once the change is durable: tells whoever waits for it.
    tell: Callable[[Call], None]


class Step(ABC):
    """The handler of a function whose effect is a change of the store."""

    store: Store

    @abstractmethod
    def __call__(self, call: Call) -> None:
        """Make the change alone, and answer the call."""

    @abstractmethod
    def prepare(
        self, cause: Call, function_id: str, data: Raw | bytes
    ) -> Callable[[Transaction], Outcome]:
        """Read what the function is called with. Raises `BusError` that names the wrong field.

        `cause` is the call that asks for the whole transaction.
        """
