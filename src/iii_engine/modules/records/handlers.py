"""From a call to the store and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from iii_engine.core.router import Call
from iii_engine.modules.base import fail, read
from iii_engine.storage.base import Store, Transaction
from iii_sdk.errors import BusError

Q = TypeVar("Q")
T = TypeVar("T")


def writing(
    store: Store,
    code: str,
    kind: type[Q],
    work: Callable[[Transaction, Q], T],
    answer: Callable[[Call, T], None],
) -> Callable[[Call], None]:
    """A handler that reads a `kind`, does the work in a transaction, and answers when it is
    durable. `code` is what a failure of the store is answered with."""
    write = store.write

    def handler(call: Call) -> None:
        try:
            request = read(call, kind)
        except BusError as error:
            fail(call, error)
            return

        def made(transaction: Transaction) -> T:
            return work(transaction, request)

        def done(result: T | None, error: BaseException | None) -> None:
            if error is not None or result is None:
                fail(call, error, code)
            else:
                answer(call, result)

        write(made, done)

    return handler


def reading(
    store: Store, code: str, kind: type[Q], work: Callable[[Transaction, Q], bytes]
) -> Callable[[Call], None]:
    """A handler that answers from what is committed; at once where the store is in this process."""
    query = store.query

    def handler(call: Call) -> None:
        try:
            request = read(call, kind)
        except BusError as error:
            fail(call, error)
            return

        def look(transaction: Transaction) -> bytes:
            return work(transaction, request)

        def done(answer: bytes | None, error: BaseException | None) -> None:
            if answer is None:
                fail(call, error, code)
            else:
                call.reply(answer)

        query(look, done)

    return handler
