"""The files that match globs, found by walking only where one can match."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from iii_engine.modules.exec.patterns import Pattern

log = logging.getLogger("iii.exec")

#: More matching files than this are not watched.
MAX_FILES: Final = 100_000

#: A matching file's path, and what differs when its content does.
Snapshot = dict[str, int]

#: How far a directory has come in a pattern: the pattern and the index of its next segment.
_State = tuple[Pattern, int]


def snapshot(patterns: Iterable[Pattern], stopped: Callable[[], bool]) -> Snapshot:
    """What is there now. What cannot be read, or vanishes meanwhile, is not there.

    `stopped` is asked in every directory; once it says so, the rest is left out. Blocks for some
    microseconds per file and directory.
    """
    files: Snapshot = {}
    for root, states in _by_root(patterns).items():
        for path in _walk(root, states, stopped):
            if len(files) >= MAX_FILES:
                log.warning("more than %d files match; only those are watched", MAX_FILES)
                return files
            if path not in files and (stamp := _stamp(path)) is not None:
                files[path] = stamp
    return files


def _by_root(patterns: Iterable[Pattern]) -> dict[str, frozenset[_State]]:
    roots: dict[str, set[_State]] = {}
    for pattern in patterns:
        roots.setdefault(pattern.root, set()).add((pattern, 0))
    return {root: frozenset(states) for root, states in roots.items()}


def _walk(root: str, states: frozenset[_State], stopped: Callable[[], bool]) -> Iterator[str]:
    waiting = [(root, states)]
    while waiting and not stopped():
        folder, states = waiting.pop()
        states = _with_empty_globstars(states)
        for entry in _entries(folder):
            after = _after(states, entry.name)
            if not after:
                continue
            if _is_folder(entry):
                waiting.append((entry.path, after))
            elif any(index == len(pattern.segments) for pattern, index in after):
                yield entry.path


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """A linked directory is not followed: links may form circles."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _with_empty_globstars(states: Iterable[_State]) -> frozenset[_State]:
    """`**` may also stand for no directory at all."""
    found = set(states)
    waiting = list(found)
    while waiting:
        pattern, index = waiting.pop()
        following = (pattern, index + 1)
        if (
            index < len(pattern.segments)
            and pattern.segments[index].anything
            and following not in found
        ):
            found.add(following)
            waiting.append(following)
    return frozenset(found)


def _after(states: frozenset[_State], name: str) -> frozenset[_State]:
    """How far one gets by entering, or finding, `name`."""
    found = set()
    for pattern, index in states:
        if index < len(pattern.segments):
            segment = pattern.segments[index]
            if segment.matches(name):
                found.add((pattern, index if segment.anything else index + 1))
    return frozenset(found)


def _stamp(path: str) -> int | None:
    """A link is followed: it may be switched to another file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return hash((found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_dev, found.st_ino))
