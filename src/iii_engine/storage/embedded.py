"""The durable store: SQLite with a write-ahead log, one writer, group commit.

Works run on the loop's thread as they come, inside one open transaction; only COMMIT, which waits
for the disk, runs in a thread. While it does, new works queue up, and all of them share the next
one. Statements cost about two microseconds each, less than handing them to another thread; only
the end of a large space takes long, so it is left to that thread, and ends its transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import apsw

from iii_engine.core.sizes import MIB
from iii_engine.core.turns import Asker, Pieces
from iii_engine.storage import files
from iii_engine.storage.base import StoreError, Transaction
from iii_engine.storage.buffer import Buffer, Write
from iii_engine.storage.committer import Committer
from iii_engine.storage.local import LocalReads
from iii_engine.storage.salvage import salvage
from iii_engine.storage.tables import Tables

log = logging.getLogger("iii.storage")

T = TypeVar("T")
Work: TypeAlias = Callable[[Transaction], T]
Done: TypeAlias = Callable[[T | None, BaseException | None], None]

#: Works run in one go, at most: the loop has other things to do as well.
MAX_BATCH: Final = 1000

#: Bytes that one commit writes, unless a single work has more: the others wait for the next one.
MAX_BYTES: Final = 8 * MIB


class EmbeddedStore(LocalReads):
    """A `Store` in one file of a directory of its own.

    `relaxed` answers before the disk has it: a crash of the machine (not of the process) may lose
    the newest writes. A database that cannot be read is renamed to `*.corrupt-<ms>` and what can
    be read of it is taken over, unless `repair` is False: then opening it is an error.
    """

    def __init__(self, file: Path, *, relaxed: bool = False, repair: bool = True) -> None:
        self._file = file
        self._relaxed = relaxed
        self._repair = repair
        self._open = False
        self._committing = False
        self._commit_due = False
        self._snapshot = False
        #: Works that wait for the commit under way to end.
        self._queue: deque[tuple[Work[Any], Done[Any]]] = deque()
        #: Who to tell when the open transaction is committed: (done, result, error).
        self._batch: list[tuple[Done[Any], Any, Exception | None]] = []
        #: Why the open transaction is gone: SQLite undoes all of it when the disk is full.
        self._lost: StoreError | None = None
        #: Writes of its last work, when they take long: the committer's thread makes them.
        self._left: list[Write] = []
        #: Whether the open transaction changes something.
        self._changes = False
        #: The bytes of the values that the open transaction writes.
        self._bytes = 0
        #: Why nothing can be written, until something is.
        self.problem: str | None = None
        self.replaced: str | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    async def open(self) -> None:
        """Raises `StoreError`: in use by another engine, not a directory, unreadable."""
        self._loop = asyncio.get_running_loop()
        files.make_directory(self._file.parent)
        self._lock = files.Lock(self._file.with_name(self._file.name + ".lock"))
        try:
            self._writer = self._open_writer()
            self._reader = files.open_reader(self._file)
        except apsw.Error as error:
            self._lock.release()
            raise StoreError(f"cannot open {self._file}: {error}") from error
        except BaseException:
            self._lock.release()
            raise
        self._writing = Tables(self._writer)
        self._reading = Tables(self._reader)
        self._committer = Committer(self._loop, self._commit, self._committed)
        self._open = True

    def _open_writer(self) -> apsw.Connection:
        try:
            return files.open_writer(self._file, relaxed=self._relaxed)
        except (apsw.NotADBError, apsw.CorruptError) as error:
            if not self._repair:
                raise StoreError(f"{self._file} is corrupt: {error}") from error
            aside = files.set_aside(self._file)
            log.error("%s is corrupt (%s): renamed to %s", self._file, error, aside.name)
        writer = files.open_writer(self._file, relaxed=self._relaxed)
        saved = salvage(aside, writer)
        log.error("%d items of %s could still be read and were taken over", saved, aside.name)
        self.replaced = f"the store was corrupt; {saved} items of {aside.name} were taken over"
        return writer

    async def close(self) -> None:
        if not self._open:
            return
        self._open = False
        self._turns.end(StoreError("the store is closed"))
        await self._idle.wait()
        self._committer.stop()
        self._end_snapshot()
        self._reader.close()
        self._writer.close()
        self._lock.release()

    # -- reading ---------------------------------------------------------------------------------

    def read(self, work: Work[T]) -> T:
        """See `Store.read`. Reads of one tick of the loop share a snapshot."""
        if not self._open:
            raise StoreError("the store is closed")
        try:
            if not self._snapshot:
                self._reader.execute("BEGIN")
                self._snapshot = True
                self._loop.call_soon(self._end_snapshot)
            return work(self._reading)
        except apsw.Error as error:
            raise StoreError(f"cannot read {self._file}: {error}") from error

    def browse(
        self,
        work: Callable[[Transaction], Pieces[T]],
        done: Done[T],
        asker: Asker | None = None,
    ) -> None:
        """See `Store.browse`. What has several pieces gets a connection and a snapshot."""

        def first(transaction: Transaction) -> tuple[T] | None:
            pieces = work(transaction)
            try:
                next(pieces)
            except StopIteration as end:
                return (end.value,)
            finally:
                pieces.close()  # before its snapshot ends
            return None

        def read(found: tuple[T] | None, error: BaseException | None) -> None:
            if found is None and error is None:
                self._turns.later(partial(self._browse, work), done, asker)
            else:
                done(found and found[0], error)

        self.query(first, read)

    def _browse(self, work: Callable[[Transaction], Pieces[T]]) -> Pieces[T]:
        try:
            reader = files.open_reader(self._file)
            try:
                reader.execute("BEGIN")
                result = yield from work(Tables(reader))
            finally:
                reader.close(True)
        except apsw.Error as error:
            raise StoreError(f"cannot read {self._file}: {error}") from error
        return result

    @property
    def _pages(self) -> Tables:
        return self._reading

    def _end_snapshot(self) -> None:
        if self._snapshot:
            self._snapshot = False
            try:
                if self._reader.in_transaction:  # SQLite ends it itself when memory or disk fail
                    self._reader.execute("ROLLBACK")
            except apsw.Error:
                log.exception("a snapshot of %s did not end", self._file)

    # -- writing ---------------------------------------------------------------------------------

    def write(self, work: Work[T], done: Done[T]) -> None:
        """See `Store.write`. `work` runs on the loop's thread; `done` never before this returns."""
        if not self._open:
            self._loop.call_soon(done, None, StoreError("the store is closed"))
        elif self._committing or self._full:
            self._queue.append((work, done))
        else:
            self._run(work, done)
            if not self._commit_due:
                self._commit_due = True
                self._idle.clear()
                # At the end of this tick, so that all that it brings shares one commit.
                self._loop.call_soon(self._start_commit)

    def _run(self, work: Work[T], done: Done[T]) -> None:
        result: T | None = None
        problem: Exception | None = self._lost
        if problem is None:
            try:
                if not self._batch:
                    self._writer.execute("BEGIN IMMEDIATE")
                buffer = Buffer(self._writing)
                result = work(buffer)
                size, takes_long = 0, False
                for space, key, value in buffer.writes:
                    if value is not None:
                        size += len(value)
                    elif key is None:
                        takes_long = takes_long or self._writing.is_large(space)
                if takes_long:
                    self._left = buffer.writes
                else:
                    self._apply(buffer.writes)
                self._changes = self._changes or bool(buffer.writes)
                self._bytes += size
            except apsw.Error as error:
                problem = self._failure(error)
                if not self._writer.in_transaction:
                    self._lost = problem
            except Exception as error:  # noqa: BLE001  (it is the caller's, who gets it)
                problem = error
        self._batch.append((done, result, problem))

    @property
    def _full(self) -> bool:
        """Whether the open transaction takes no more works."""
        return bool(self._left) or self._bytes > MAX_BYTES

    def _apply(self, writes: list[Write]) -> None:
        """Write what one work wanted, all or nothing: a single statement is that by itself."""
        if len(writes) <= 1:
            self._writing.apply(writes)
            return
        execute = self._writer.execute
        execute("SAVEPOINT work")
        try:
            self._writing.apply(writes)
        except BaseException:
            if self._writer.in_transaction:
                execute("ROLLBACK TO work")
                execute("RELEASE work")
            raise
        execute("RELEASE work")

    def _start_commit(self) -> None:
        self._commit_due = False
        self._committing = True
        self._committer.start_commit()

    def _commit(self) -> None:
        """In the committer's thread."""
        if self._lost is None:
            if self._left:
                self._apply(self._left)
            try:
                self._writer.execute("COMMIT")
            except apsw.IOError:
                self._disown()
                raise

    def _disown(self) -> None:
        """Undo a commit that the disk has not confirmed.

        SQLite has it in its log by then, and would take it for made after a crash of the process:
        whatever is written next takes its place there.
        """
        with suppress(apsw.Error):
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            self._writer.execute("PRAGMA user_version = 0")

    def _committed(self, error: Exception | None) -> None:
        """Back on the loop: begin the next commit, then tell those of this one."""
        problem = self._lost if error is None else self._failure(error)
        if problem is None and self._changes and self.problem is not None:
            log.info("%s can be written again", self._file)
            self.problem = None
        self._changes, self._bytes = False, 0
        self._left = []
        self._lost = self._rolled_back()
        self._end_snapshot()
        batch, self._batch = self._batch, []
        queue = self._queue
        for _ in range(min(len(queue), MAX_BATCH)):
            self._run(*queue.popleft())
            if self._full:
                break
        if self._batch:
            self._committer.start_commit()
        else:
            self._committing = False
            self._idle.set()
        for done, result, failed in batch:
            try:
                if failed is not None or problem is not None:
                    # The commit first: what a work refused to do may rest on what is gone with it.
                    done(None, problem or failed)
                else:
                    done(result, None)
            except Exception:
                log.exception("a listener to the store failed")

    def _rolled_back(self) -> StoreError | None:
        """Undo what a failed commit left; why that is not possible either, for the next batch."""
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except apsw.Error as error:
            return self._failure(error)
        return None

    def _failure(self, error: Exception) -> StoreError:
        failure = StoreError(f"cannot write {self._file}: {error}")
        if self.problem is None:
            log.error("%s", failure)
        self.problem = str(failure)
        failure.__cause__ = error
        return failure
