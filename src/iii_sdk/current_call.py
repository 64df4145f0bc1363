"""The call that is being handled, for whoever calls or logs meanwhile."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol


class Traced(Protocol):
    """A call, as far as those need it whom it makes call others."""

    @property
    def traceparent(self) -> str | None: ...

    @property
    def baggage(self) -> str | None: ...


#: The call being handled in this context; None outside of handlers.
current_call: ContextVar[Traced | None] = ContextVar("iii_current_call", default=None)
