"""From a call to the store and back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from iii_engine.core.router import Call
from iii_engine.modules.base import read
from iii_engine.storage.base import Store, StoreError, Transaction
from iii_sdk.errors import BusError

log = logging.getLogger("iii.records")

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
            call.fail(error.code, error.message)
            return

        def made(transaction: Transaction) -> T:
            return work(transaction, request)

        def done(result: T | None, error: BaseException | None) -> None:
            if error is not None or result is None:
                fail(call, code, error)
            else:
                answer(call, result)

        write(made, done)

    return handler


def reading(
    store: Store, code: str, kind: type[Q], work: Callable[[Transaction, Q], bytes]
) -> Callable[[Call], None]:
    """A handler that answers at once, from what is committed."""
    look = store.read

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
