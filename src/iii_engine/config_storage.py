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


class _Adapter(Struct):
    config: StoreOptions = msgspec.field(default_factory=StoreOptions)


class _Options(Struct):
    adapter: _Adapter = msgspec.field(default_factory=_Adapter)


def is_stored(entry: Entry) -> bool:
    """Is the data of this module in the store?"""
    return entry.kind in (*STORED, *STORED_DIRECTLY)


def store_directory(entries: Iterable[Entry]) -> Path | None:
    """The directory of the durable store, or None when everything stays in memory."""
    for entry in entries:
        if is_stored(entry):
            try:
                options = _store_options(entry)
            except msgspec.ValidationError:
                continue  # the module refuses these options with its own, better words
            if options.store_method == "file_based":
                return Path(options.file_path)
    return None


def _store_options(entry: Entry) -> StoreOptions:
    if entry.kind in STORED_DIRECTLY:
        return msgspec.convert(entry.config, StoreOptions)
    return msgspec.convert(entry.config, _Options).adapter.config


def make_store(entries: Iterable[Entry]) -> LocalStore:
    """The store for these entries, not opened yet."""
    directory = store_directory(entries)
    if directory is None:
        from iii_engine.storage.memory import MemoryStore

        return MemoryStore()
    from iii_engine.storage.embedded import EmbeddedStore

    return EmbeddedStore(directory / STORE_FILE)
