"""The store: durable, ordered maps that every module shares.

A *space* is a named map from key to JSON bytes, in the order of first insertion (`state/<scope>`,
`stream/<name>/<group>`, …). All changes happen in transactions; one transaction may span spaces
and modules. A transaction is answered when it is on disk; many share one commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from iii_engine.core.turns import Asker, Pieces

T = TypeVar("T")


class StoreError(Exception):
    """The store could not do it: disk full, closed, locked by another engine, corrupt."""


class ServerLost(StoreError):
    """The server behind a store does not answer; what was asked may be asked again."""


class Transaction(Protocol):
    """A consistent view with this transaction's own writes; nothing is visible before commit."""

    def get(self, space: str, key: str) -> bytes | None: ...

    def put(self, space: str, key: str, value: bytes) -> None:
        """Insert at the end, or replace in place."""
        ...

    def delete(self, space: str, key: str) -> bool:
        """Whether it was there."""
        ...

    def discard(self, space: str, key: str) -> None:
        """As `delete`, without a look whether it is there."""
        ...

    def items(
        self, space: str, *, prefix: str = "", limit: int | None = None, offset: int = 0
    ) -> Iterable[tuple[str, bytes]]:
        """In insertion order, read as they are taken: within the work, and before it writes."""
        ...

    def count(self, space: str) -> int: ...

    def spaces(self, prefix: str = "") -> list[str]:
        """Non-empty spaces, sorted."""
        ...

    def names(self, prefix: str = "") -> Iterable[str]:
        """As `spaces`, read as they are taken."""
        ...

    def delete_space(self, space: str) -> int: ...


class Store(Protocol):
    """`write` runs its work in order with all others; if the work raises, only it is undone."""

    def write(
        self,
        work: Callable[[Transaction], T],
        done: Callable[[T | None, BaseException | None], None],
    ) -> None:
        """Run `work` in a transaction; `done(result, None)` follows once it is durable.

        `work` must be quick, must not block, and may run on another thread; what it raises reaches
        `done(None, error)` and leaves nothing behind. When the commit fails, all that shared it
        get that error, for they may have seen each other's writes. `done` runs on the event loop,
        in the order of the writes; a store in memory calls it before `write` returns.

        `work` must be repeatable: a store behind a network runs it again while it fetches what it
        reads, and once more when another engine was faster.
        """
        ...

    def query(
        self,
        work: Callable[[Transaction], T],
        done: Callable[[T | None, BaseException | None], None],
    ) -> None:
        """Run read-only `work` on what is committed: it sees every acknowledged write.

        A store in this process calls `done` before `query` returns, one behind a network later.
        `work` must be repeatable: such a store runs it again while it fetches what it reads.
        """
        ...

    def browse(
        self,
        work: Callable[[Transaction], Pieces[T]],
        done: Callable[[T | None, BaseException | None], None],
        asker: Asker | None = None,
    ) -> None:
        """As `query`, for works that read very much: `core/turns.py` says what they are.

        What a work reads is as it was at one moment, however long it takes. One with a single
        piece is answered as `query` would; `done` of others is called later, and what they see
        may be newer than their question. A work may be begun twice, and names all that it reads
        in its first piece. When `asker` is answered meanwhile, `done` is not called.
        """
        ...

    async def open(self) -> None: ...

    async def close(self) -> None:
        """Commit what was submitted, then close."""
        ...


class LocalStore(Store, Protocol):
    """A store in this process: what is committed can be read without waiting."""

    #: Why nothing can be written, since a commit failed and until one succeeds.
    problem: str | None
    #: What became of the damaged store whose place this one took when it was opened, if any.
    replaced: str | None

    def read(self, work: Callable[[Transaction], T]) -> T:
        """As `query`, answered by returning."""
        ...

    def page(
        self,
        space: str,
        *,
        after: str = "",
        limit: int,
        size: int | None = None,
        descending: bool = False,
    ) -> list[tuple[str, bytes]]:
        """Committed items in the order of their keys: those behind `after`, or the last ones.

        Those beyond `size` bytes are left out, except the first.
        """
        ...

    def newest(
        self, space: str, *, offset: int = 0, limit: int, size: int
    ) -> list[tuple[str, bytes]]:
        """Committed items, the last that was inserted first, and no more than `size` bytes of
        them, except the first."""
        ...
