"""The call that is being handled, for whoever calls or logs meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Traced(Protocol):
    """A call or a span, as far as those need it whom it makes call others."""

    @property
    def traceparent(self) -> str | None: ...

    @property
    def baggage(self) -> str | None: ...


class Joined(Protocol):
    """Another library that knows current spans too."""

    def current(self) -> Traced | None:
        """In whose name a call is made now."""

    def enter(self, traced: Traced) -> Callable[[], None]:
        """Everything that follows in this context happens inside of it, until the result is
        called."""


#: The call being handled in this context; None outside of handlers.
current_call: ContextVar[Traced | None] = ContextVar("iii_current_call", default=None)

_joined: Joined | None = None


def join(other: Joined | None) -> None:
    """Let another library's spans count in this process from now on."""
    global _joined
    _joined = other


def active() -> Traced | None:
    """In whose name a call is made now; None outside of handlers and spans."""
    return current_call.get() if _joined is None else _joined.current()


def enter(traced: Traced) -> None:
    """What follows in this context is done for this call."""
    current_call.set(traced)
    if _joined is not None:
        _joined.enter(traced)


@contextmanager
def inside(traced: Traced) -> Iterator[None]:
    """What the block does is done for this call or span."""
    token = current_call.set(traced)
    leave = None if _joined is None else _joined.enter(traced)
    try:
        yield
    finally:
        if leave is not None:
            leave()
        current_call.reset(token)
