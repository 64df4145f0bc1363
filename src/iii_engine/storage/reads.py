"""What works read, as data: so that a store behind a network can fetch it and check it later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias, TypeVar, cast

from msgspec import Struct

from iii_engine.storage.base import StoreError, Transaction
from iii_engine.storage.read_only import ReadOnly

T = TypeVar("T")


class Item(Struct, frozen=True):
    """`get`: bytes, or None."""

    space: str
    key: str


class Page(Struct, frozen=True):
    """`items`: pairs of key and value in insertion order."""

    space: str
    prefix: str
    limit: int | None
    offset: int


class Count(Struct, frozen=True):
    """`count`: a number."""

    space: str


class Spaces(Struct, frozen=True):
    """`spaces`: sorted names."""

    prefix: str


Read: TypeAlias = Item | Page | Count | Spaces
Record: TypeAlias = tuple[str, str | None]
"""Space and key; without a key the whole space."""

Value: TypeAlias = bytes | int | list[str] | list[tuple[str, bytes]] | None


class Found(Struct, frozen=True):
    """The answer to a read. `mark`, or `keys`, is whatever its server knows the answer by later.

    With `refused` there is no answer to this one; only works that read it fail. `shown` is what
    works see of a page of which not everything may be seen.
    """

    value: Value
    mark: tuple[int, ...] = ()
    keys: tuple[bytes, ...] = ()
    refused: StoreError | None = None
    shown: list[tuple[str, bytes]] | None = None


class View(ReadOnly):
    """A `Transaction` for reading what was fetched.

    What was not is taken for absent and noted in `missing`, so that one run of a work names most
    of its reads at once; the work runs again when they are here, and what came of this run is
    thrown away.
    """

    def __init__(self, found: Mapping[Read, Found]) -> None:
        self._found = found
        self.missing: dict[Read, None] = {}
        #: What was read of `found`.
        self.used: dict[Read, Found] = {}

    def get(self, space: str, key: str) -> bytes | None:
        return self._look(Item(space, key), None)

    def items(
        self, space: str, *, prefix: str = "", limit: int | None = None, offset: int = 0
    ) -> Iterable[tuple[str, bytes]]:
        nothing: list[tuple[str, bytes]] = []
        return self._look(Page(space, prefix, limit, offset), nothing)

    def count(self, space: str) -> int:
        return self._look(Count(space), 0)

    def spaces(self, prefix: str = "") -> list[str]:
        nothing: list[str] = []
        return self._look(Spaces(prefix), nothing)

    def names(self, prefix: str = "") -> Iterable[str]:
        return self.spaces(prefix)

    def _look(self, read: Read, absent: T) -> T:
        found = self._found.get(read)
        if found is None:
            self.missing[read] = None
            return absent
        self.used[read] = found
        if found.refused is not None:
            raise found.refused
        # A server answers in kind.
        return cast("T", found.value if found.shown is None else found.shown)


class Traced:
    """A `Transaction` that notes which reads reach another one. Only read through it."""

    def __init__(self, base: Transaction) -> None:
        self._base = base
        self.reads: set[Read] = set()

    @property
    def records(self) -> set[Record]:
        """The single records among the reads."""
        return {(read.space, read.key) for read in self.reads if isinstance(read, Item)}

    def get(self, space: str, key: str) -> bytes | None:
        self.reads.add(Item(space, key))
        return self._base.get(space, key)

    def items(
        self, space: str, *, prefix: str = "", limit: int | None = None, offset: int = 0
    ) -> Iterable[tuple[str, bytes]]:
        self.reads.add(Page(space, prefix, limit, offset))
        return self._base.items(space, prefix=prefix, limit=limit, offset=offset)

    def count(self, space: str) -> int:
        self.reads.add(Count(space))
        return self._base.count(space)

    def spaces(self, prefix: str = "") -> list[str]:
        self.reads.add(Spaces(prefix))
        return self._base.spaces(prefix)

    def names(self, prefix: str = "") -> Iterable[str]:
        return self.spaces(prefix)

    def put(self, space: str, key: str, value: bytes) -> None:
        self._base.put(space, key, value)

    def delete(self, space: str, key: str) -> bool:
        return self._base.delete(space, key)

    def discard(self, space: str, key: str) -> None:
        self._base.discard(space, key)

    def delete_space(self, space: str) -> int:
        return self._base.delete_space(space)
