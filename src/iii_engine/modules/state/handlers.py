"""From a call to the store, back, and on to the triggers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import TypeVar

from iii_engine.core.router import Call
from iii_engine.core.turns import Pieces
from iii_engine.modules.base import fail, read
from iii_engine.modules.records.handlers import Writing, browsing, reading
from iii_engine.modules.state import transact
from iii_engine.modules.state.events import StateEvents
from iii_engine.modules.state.records import Change, space_of
from iii_engine.modules.state.requests import RecordRequest, ScopeRequest, TransactRequest
from iii_engine.storage.base import Store, Transaction
from iii_sdk.errors import BusError

R = TypeVar("R")
Q = TypeVar("Q", bound=RecordRequest)


class Handlers:
    """Makes handlers. `code` is what a failure of the store is answered with."""

    def __init__(self, store: Store, events: StateEvents) -> None:
        self._store = store
        self._events = events

    def changing(
        self, code: str, kind: type[Q], work: Callable[[Transaction, Q], Change]
    ) -> Writing[Q, Change]:
        """Answers when the change is durable, then tells the triggers."""
        return Writing(
            self._store,
            code,
            kind,
            work,
            answer=attrgetter("answer"),
            tell=self._events.publish,
            applied=attrgetter("applied"),
        )

    def transacting(self, code: str) -> Callable[[Call], None]:
        """As `changing`, for several changes."""

        def done(call: Call, changes: list[Change] | None, error: BaseException | None) -> None:
            if isinstance(error, transact.NotApplied):
                call.reply(error.answer)
            elif changes is None:
                fail(call, error, code)
            else:
                call.reply(transact.answer(changes))
                for change in changes:
                    self._events.publish(change, call)

        def handler(call: Call) -> None:
            try:
                request = read(call, TransactRequest)
            except BusError as error:
                fail(call, error)
            else:
                self._store.write(partial(transact.transact, request=request), partial(done, call))

        return handler

    def deleting_scope(self, code: str) -> Writing[ScopeRequest, int]:
        def delete(transaction: Transaction, request: ScopeRequest) -> int:
            return transaction.delete_space(space_of(request.scope))

        return Writing(
            self._store, code, ScopeRequest, delete, answer=lambda count: b'{"deleted":%d}' % count
        )

    def reading(
        self, code: str, kind: type[R], work: Callable[[Transaction, R], bytes]
    ) -> Callable[[Call], None]:
        """Answers at once, from what is committed."""
        return reading(self._store, code, kind, work)

    def browsing(
        self, code: str, kind: type[R], work: Callable[[Transaction, R], Pieces[bytes]]
    ) -> Callable[[Call], None]:
        """As `reading`, piece by piece."""
        return browsing(self._store, code, kind, work)
