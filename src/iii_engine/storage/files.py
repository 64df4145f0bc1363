"""The files of the embedded store: lock, database, write-ahead log."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import apsw

from iii_engine.storage.base import StoreError
from iii_engine.storage.tables import SCHEMA

#: Pages of write-ahead log after which it is folded into the database.
CHECKPOINT_PAGES = 2000

#: The log is written once in advance up to this size: growing a file makes each fsync slower.
LOG_BYTES = CHECKPOINT_PAGES * (4096 + 24)

#: Larger databases are not read whole at start; damage shows when a page is used.
CHECKED_BYTES = 32 * 1024 * 1024

#: Memory that each connection may use for pages, in KiB.
CACHE_KIB = 4096


class Lock:
    """Held while a store is open. The system releases it when the process ends."""

    def __init__(self, file: Path) -> None:
        self._fd = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise StoreError(f"{file.parent} is in use by another engine (lock {file})") from None

    def release(self) -> None:
        os.close(self._fd)


def make_directory(directory: Path) -> None:
    """Raises `StoreError` when there is a file of that name, or no permission."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise StoreError(f"{directory} is a file; the store needs a directory there") from None
    except OSError as error:
        raise StoreError(f"cannot make the directory {directory}: {error.strerror}") from None


def open_writer(file: Path, *, relaxed: bool) -> apsw.Connection:
    """The connection that writes, with the schema in place. Raises `apsw.Error`."""
    os.close(os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    connection = apsw.Connection(str(file))
    try:
        _prepare(connection)
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if relaxed else 'FULL'}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}").fetchall()
        connection.execute(SCHEMA)
        _extend_log(log_of(file))
        _check(connection, file)
    except BaseException:
        connection.close(True)
        raise
    return connection


def open_reader(file: Path) -> apsw.Connection:
    """A connection that reads what is committed and never waits for the writer."""
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE)
    _prepare(connection)
    connection.execute("PRAGMA query_only = ON")
    return connection


def log_of(file: Path) -> Path:
    return file.with_name(file.name + "-wal")


def set_aside(file: Path) -> Path:
    """Rename a database that cannot be read, with its log. Answers its new name."""
    aside = file.with_name(f"{file.name}.corrupt-{time.time_ns() // 1_000_000}")
    for suffix in ("", "-wal"):
        old = file.with_name(file.name + suffix)
        if old.exists():
            old.rename(aside.with_name(aside.name + suffix))
    file.with_name(file.name + "-shm").unlink(missing_ok=True)
    return aside


def _prepare(connection: apsw.Connection) -> None:
    connection.set_busy_timeout(5000)
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute("PRAGMA temp_store = MEMORY")


def _check(connection: apsw.Connection, file: Path) -> None:
    if file.stat().st_size <= CHECKED_BYTES:
        found = connection.execute("PRAGMA quick_check(1)").get
        if found != "ok":
            raise apsw.CorruptError(str(found))


def _extend_log(log: Path) -> None:
    """Zeros after the last frame are no frames: SQLite reads up to the first invalid one.

    Nothing may be writing to the log.
    """
    with log.open("ab") as end:
        while (missing := LOG_BYTES - end.tell()) > 0:
            end.write(bytes(min(missing, 256 * 1024)))
        os.fsync(end.fileno())
