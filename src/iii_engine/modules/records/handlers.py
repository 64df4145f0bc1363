"""From a call to the store and back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from msgspec import Raw

from iii_engine.core.router import Call
from iii_engine.core.turns import Done, Pieces
from iii_engine.modules.base import fail, read, read_input
from iii_engine.modules.steps import Outcome, Step
from iii_engine.storage.base import Store, Transaction
from iii_sdk.errors import BusError

Q = TypeVar("Q")
T = TypeVar("T")


class Writing(Step, Generic[Q, T]):
    """A handler that reads a `kind`, does the work in a transaction, and answers when it is
    durable; then it tells others. `code` is what a failure of the store is answered with."""

    def __init__(
        self,
        store: Store,
        code: str,
        kind: type[Q],
        work: Callable[[Transaction, Q], T],
        *,
        answer: Callable[[T], bytes],
        tell: Callable[[T, Call], None] | None = None,
        applied: Callable[[T], bool] | None = None,
    ) -> None:
        self.store = store
        self._code = code
        self._kind = kind
        self._work = work
        self._answer = answer
        self._tell = tell
        self._applied = applied

    def __call__(self, call: Call) -> None:
        try:
            request = read(call, self._kind)
        except BusError as error:
            fail(call, error)
        else:
            self.make(call, request)

    def make(self, call: Call, request: Q) -> None:
        """Do what was asked for and answer."""
        work, answer, tell = self._work, self._answer, self._tell

        def made(transaction: Transaction) -> T:
            return work(transaction, request)

        def done(result: T | None, error: BaseException | None) -> None:
            if error is not None or result is None:
                fail(call, error, self._code)
            else:
                call.reply(answer(result))
                if tell is not None:
                    tell(result, call)

        self.store.write(made, done)

    def prepare(
        self, cause: Call, function_id: str, data: Raw | bytes
    ) -> Callable[[Transaction], Outcome]:
        """See `Step.prepare`."""
        request = read_input(function_id, data, self._kind)

        def made(transaction: Transaction) -> Outcome:
            result = self._work(transaction, request)
            applied = self._applied is None or self._applied(result)
            tell = _nobody if self._tell is None else partial(self._tell, result)
            return Outcome(self._answer(result), applied, tell)

        return made


def _nobody(cause: Call) -> None:
    """Nobody wants to know."""


def reading(
    store: Store, code: str, kind: type[Q], work: Callable[[Transaction, Q], bytes]
) -> Callable[[Call], None]:
    """A handler that answers from what is committed; at once where the store is in this process."""

    def ask(call: Call, look: Callable[[Transaction], bytes], done: Done[bytes]) -> None:
        store.query(look, done)

    return _asking(ask, code, kind, work)


def browsing(
    store: Store, code: str, kind: type[Q], work: Callable[[Transaction, Q], Pieces[bytes]]
) -> Callable[[Call], None]:
    """As `reading`, for answers that may be long: `Store.browse`."""

    def ask(call: Call, look: Callable[[Transaction], Pieces[bytes]], done: Done[bytes]) -> None:
        store.browse(look, done, call)

    return _asking(ask, code, kind, work)


def _asking(
    ask: Callable[[Call, Callable[[Transaction], T], Done[bytes]], None],
    code: str,
    kind: type[Q],
    work: Callable[[Transaction, Q], T],
) -> Callable[[Call], None]:
    def handler(call: Call) -> None:
        try:
            request = read(call, kind)
        except BusError as error:
            fail(call, error)
            return

        def look(transaction: Transaction) -> T:
            return work(transaction, request)

        def done(answer: bytes | None, error: BaseException | None) -> None:
            if answer is None:
                fail(call, error, code)
            else:
                call.reply(answer)

        ask(call, look, done)

    return handler
