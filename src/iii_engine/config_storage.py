"""Where the engine's one store lives.

All modules share one store, so that one commit can span them. It is durable as soon as one module
is configured `file_based`; the first such module's `file_path` (a directory, whatever its suffix)
then holds the store of all. Without one everything is kept in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from iii_engine.config import Entry
from iii_engine.storage.base import LocalStore

DEFAULT_DIRECTORY = "kv_store_data.db"
STORE_FILE = "store.db"

#: Modules whose data is in the store: those that say so in the option `adapter`, and among their
#: own options.
STORED = ("iii-state", "iii-stream", "iii-cron", "iii-queue")
STORED_DIRECTLY = ("iii-kv",)


class StoreOptions(Struct):
    """The part of a `kv` adapter's config that concerns the store."""

    store_method: str = "in_memory"
    file_path: str = DEFAULT_DIRECTORY


#: Adapters, by their names and by the last part of their class names, that use the store.
OWN_ADAPTERS = ("kv", "KvStore", "KvCronAdapter", "builtin", "BuiltinQueueAdapter")


class _Adapter(Struct):
    name: str | None = None
    class_: str | None = msgspec.field(default=None, name="class")
    config: StoreOptions = msgspec.field(default_factory=StoreOptions)


class _Options(Struct):
    adapter: _Adapter | None = None


def is_stored(entry: Entry) -> bool:
    """Is the data of this module in the store?"""
    return entry.kind in (*STORED, *STORED_DIRECTLY) and _uses_store(entry)


def _uses_store(entry: Entry) -> bool:
    try:
        adapter = msgspec.convert(entry.config, _Options).adapter or _Adapter()
    except msgspec.ValidationError:
        return True  # the module refuses these options with its own, better words
    chosen = adapter.name or adapter.class_ or OWN_ADAPTERS[0]
    return chosen.rpartition("::")[2] in OWN_ADAPTERS


def store_directory(entries: Iterable[Entry]) -> Path | None:
    """The directory of the durable store, or None when everything stays in memory."""
    return next(filter(None, map(_directory, entries)), None)


def moves_store(running: Path | None, before: Iterable[Entry], after: Iterable[Entry]) -> bool:
    """Whether the engine would need another store, so that data would stay behind.

    A module that gives its records to a server needs none: the store stays for the others.
    """
    after = list(after)
    wanted = store_directory(after)
    if wanted is not None:
        return wanted != running
    durable = {entry.name for entry in before if _directory(entry) is not None}
    return any(is_stored(entry) and entry.name in durable for entry in after)


def _directory(entry: Entry) -> Path | None:
    """Where the entry wants the store to be."""
    if not is_stored(entry):
        return None
    try:
        options = _store_options(entry)
    except msgspec.ValidationError:
        return None
    return Path(options.file_path) if options.store_method == "file_based" else None


def _store_options(entry: Entry) -> StoreOptions:
    if entry.kind in STORED_DIRECTLY:
        return msgspec.convert(entry.config, StoreOptions)
    return (msgspec.convert(entry.config, _Options).adapter or _Adapter()).config


def make_store(entries: Iterable[Entry]) -> LocalStore:
    """The store for these entries, not opened yet."""
    directory = store_directory(entries)
    if directory is None:
        from iii_engine.storage.memory import MemoryStore

        return MemoryStore()
    from iii_engine.storage.embedded import EmbeddedStore

    return EmbeddedStore(directory / STORE_FILE)
