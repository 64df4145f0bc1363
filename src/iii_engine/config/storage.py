"""Where the engine's one store lives.

All modules share one store, so that one commit can span them. It is durable as soon as one module
is configured `file_based`; the first such module's `file_path` (a directory, whatever its suffix)
then holds the store of all. Without one everything is kept in memory.

In the directories of the other modules a note says where the store is. So it is found again when
modules change their order in the config file, or the first one goes: data never disappears because
of another config.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from iii_engine.config.entries import Entry
from iii_engine.config.errors import ConfigError
from iii_engine.storage.base import LocalStore

log = logging.getLogger("iii.app")

DEFAULT_DIRECTORY = "kv_store_data.db"
STORE_FILE = "store.db"

#: One line: the directory of the store, relative to the note's own.
NOTE_FILE = "store.location"

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
    """The directory of the durable store, or None when everything stays in memory.

    One that has a store already comes before the first one. Raises `ConfigError` when several
    have: only one can be used, and the data of the others would be missing.
    """
    wanted = _directories(entries)
    there = {os.path.abspath(found): found for found in filter(None, map(_existing, wanted))}
    if len(there) > 1:
        places = ", ".join(f"'{found / STORE_FILE}'" for found in there.values())
        raise ConfigError(
            f"modules share one store, but there are several: {places}. "
            "Move those away whose data is not wanted."
        )
    return next(iter([*there.values(), *wanted]), None)


def leave_notes(directory: Path | None, entries: Iterable[Entry]) -> None:
    """Say in the directories of the other modules where the store is."""
    for other in _directories(entries):
        if directory is not None and os.path.abspath(other) != os.path.abspath(directory):
            try:
                _note(other, os.path.relpath(directory, other) + "\n")
            except OSError as error:
                log.warning("where the store is cannot be noted in %s: %s", other, error)


def _note(directory: Path, text: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / NOTE_FILE
    if _read(path) != text:
        path.write_text(text, encoding="utf-8")


def moves_store(running: Path | None, before: Iterable[Entry], after: Iterable[Entry]) -> bool:
    """Whether the engine would need another store, so that data would stay behind.

    A module that gives its records to a server needs none: the store stays for the others.
    Raises `ConfigError` as `store_directory` does.
    """
    after = list(after)
    wanted = store_directory(after)
    if wanted is not None:
        return running is None or os.path.abspath(wanted) != os.path.abspath(running)
    durable = {entry.name for entry in before if _directory(entry) is not None}
    return any(is_stored(entry) and entry.name in durable for entry in after)


def _existing(directory: Path) -> Path | None:
    """Where the store is that a module with this directory has used, if there is one."""
    if (directory / STORE_FILE).exists():
        return directory
    note = _read(directory / NOTE_FILE).strip()
    noted = Path(os.path.normpath(directory / note))
    return noted if note and (noted / STORE_FILE).exists() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _directories(entries: Iterable[Entry]) -> list[Path]:
    """Where entries want the store to be, in their order."""
    return list(dict.fromkeys(filter(None, map(_directory, entries))))


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
