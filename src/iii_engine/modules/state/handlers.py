"""From a call to the store and back: what all functions of `iii-state` share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from iii_engine.core.router import Call
from iii_engine.modules.base import read
from iii_engine.modules.state import transact
from iii_engine.modules.state.events import StateEvents
from iii_engine.modules.state.records import Change, space_of
from iii_engine.modules.state.requests import RecordRequest, ScopeRequest, TransactRequest
from iii_engine.storage.base import Store, StoreError, Transaction
from iii_sdk.errors import BusError

log = logging.getLogger("iii.state")

R = TypeVar("R")
Q = TypeVar("Q", bound=RecordRequest)


class Handlers:
    """Makes handlers. `code` is what a failure of the store is answered with."""

    def __init__(self, store: Store, events: StateEvents) -> None:
        self._store = store
        self._events = events

    def changing(
        self, code: str, kind: type[Q], work: Callable[[Transaction, Q], Change]
    ) -> Callable[[Call], None]:
        """Answers when the change is durable, then tells the triggers."""
        write, publish = self._store.write, self._events.publish

        def handler(call: Call) -> None:
            try:
                request = read(call, kind)
            except BusError as error:
                call.fail(error.code, error.message)
                return

            def made(transaction: Transaction) -> Change:
                return work(transaction, request)

            def done(change: Change | None, error: BaseException | None) -> None:
                if change is None:
                    fail(call, code, error)
                else:
                    call.reply(change.answer)
                    publish(change, call)

            write(made, done)

        return handler

    def transacting(self, code: str) -> Callable[[Call], None]:
        """As `changing`, for several changes."""

        def done(call: Call, changes: list[Change] | None, error: BaseException | None) -> None:
            if isinstance(error, transact.NotApplied):
                call.reply(error.answer)
            elif changes is None:
                fail(call, code, error)
            else:
                call.reply(transact.answer(changes))
                for change in changes:
                    self._events.publish(change, call)

        def handler(call: Call) -> None:
            try:
                request = read(call, TransactRequest)
            except BusError as error:
                call.fail(error.code, error.message)
            else:
                self._store.write(partial(transact.transact, request=request), partial(done, call))

        return handler

    def deleting_scope(self, code: str) -> Callable[[Call], None]:
        def done(call: Call, deleted: int | None, error: BaseException | None) -> None:
            if deleted is None:
                fail(call, code, error)
            else:
                call.reply(b'{"deleted":%d}' % deleted)

        def handler(call: Call) -> None:
            try:
                space = space_of(read(call, ScopeRequest).scope)
            except BusError as error:
                call.fail(error.code, error.message)
            else:
                self._store.write(lambda t: t.delete_space(space), partial(done, call))

        return handler

    def reading(
        self, code: str, kind: type[R], work: Callable[[Transaction, R], bytes]
    ) -> Callable[[Call], None]:
        """Answers at once, from what is committed."""
        look = self._store.read

        def handler(call: Call) -> None:
            try:
                request = read(call, kind)
                call.reply(look(lambda transaction: work(transaction, request)))
            except (BusError, StoreError) as error:
                fail(call, code, error)

        return handler


def fail(call: Call, code: str, error: BaseException | None) -> None:
    """Answer with the error; what is not meant for callers stays in the log."""
    if isinstance(error, BusError):
        call.fail(error.code, error.message)
    elif isinstance(error, StoreError):
        log.error("%s: %s", call.function_id, error)
        call.fail(code, str(error))
    else:
        log.error("%s failed", call.function_id, exc_info=error)
        call.fail(code, "internal error")
