"""Values at a server that other programs wrote and that are no JSON: nobody is to get them."""

from __future__ import annotations

import logging
from typing import Final

from msgspec import structs

from iii_engine.core.foreign_json import foreign_json
from iii_engine.core.once import Once
from iii_engine.core.turns import Pieces
from iii_engine.storage.base import StoreError
from iii_engine.storage.reads import Found, Item, Page, Read

#: Values that are looked at in one piece.
LOOKS: Final = 1000

log = logging.getLogger("iii.storage")


class Sieve:
    """Takes the values out of what was found that not every reader of JSON takes.

    A record is refused, so that it is not overwritten either; lists go without it. Said once.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._unreadable = Once(log)

    def sift(self, read: Read, found: Found) -> Pieces[Found]:
        """The same, where nothing is wrong."""
        value = found.value
        if isinstance(read, Item) and isinstance(value, bytes):
            problem = self._problem(read.space, read.key, value)
            return found if problem is None else structs.replace(found, refused=problem)
        if isinstance(read, Page) and isinstance(value, list):
            shown: list[tuple[str, bytes]] = []
            for number, pair in enumerate(value, 1):
                if isinstance(pair, tuple) and self._problem(read.space, *pair) is None:
                    shown.append(pair)
                if number % LOOKS == 0:
                    yield
            return found if len(shown) == len(value) else structs.replace(found, shown=shown)
        return found

    def _problem(self, space: str, key: str, value: bytes) -> StoreError | None:
        try:
            foreign_json(value, again=True)
        except ValueError as error:
            what = f"{self._server}: the value of {key!r} in {space!r} is no JSON: {error}"
            self._unreadable.warn("%s; such values are refused, and left out of lists", what)
            return StoreError(what)
        return None
