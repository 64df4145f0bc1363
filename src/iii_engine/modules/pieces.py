"""Answers that take long: looked up and written a piece at a time (`core/turns.py`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from iii_engine.core.router import Call
from iii_engine.core.sizes import MIB
from iii_engine.core.turns import Pieces, Turns
from iii_engine.modules.base import fail
from iii_sdk.errors import BusError

T = TypeVar("T")

#: Bytes of a list: nobody takes a larger message, so no more is read.
MAX_LIST: Final = 64 * MIB

#: Items that are looked at or written in one piece, and bytes of JSON.
ITEMS: Final = 300
BYTES: Final = MIB // 4


def in_pieces(
    turns: Turns, work: Callable[[Call], Pieces[bytes]], code: str = "invocation_failed"
) -> Callable[[Call], None]:
    """A handler that answers with what `work(call)` returns in the end, or the error it raises.

    `code` is for errors that bring none.
    """

    def handler(call: Call) -> None:
        def done(answer: bytes | None, error: BaseException | None) -> None:
            if answer is None:
                fail(call, error, code)
            else:
                call.reply(answer)

        turns.run(lambda: work(call), done, call)

    return handler


def array(
    parts: Iterable[bytes | None],
    *,
    head: bytes = b"[",
    tail: bytes = b"]",
    between: bytes = b",",
) -> Pieces[bytes]:
    """JSON bytes as an array; a None among them says that others may go on.

    Raises `BusError` as soon as it is too large for anybody.
    """
    written: list[bytes] = [head]
    piece: list[bytes] = []
    size = total = 0
    for part in parts:
        if part is None:
            yield
            continue
        if len(piece) == ITEMS or size > BYTES:
            written += (between.join(piece), between)
            piece.clear()
            size = 0
            yield
        piece.append(part)
        size += len(part) + 1
        total += len(part) + 1
        if total > MAX_LIST:
            raise BusError(
                f"the list is larger than {MAX_LIST} bytes: ask for parts of it",
                code="payload_too_large",
            )
    written += (between.join(piece), tail)
    return b"".join(written)


def paced(items: Iterable[T], most: int = ITEMS) -> Iterator[T | None]:
    """The items, with None between so many of them: for a work to yield there."""
    for number, item in enumerate(items):
        if number and number % most == 0:
            yield None
        yield item
