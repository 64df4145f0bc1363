"""Killed at any moment, the durable store has everything it acknowledged."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from tests.iii_engine.storage import crash_writer

from iii_engine.storage.base import Transaction
from iii_engine.storage.embedded import EmbeddedStore

WRITERS = 64
ROUNDS = 3


def killed_after(file: Path, acknowledgements: int) -> dict[int, int]:
    """The newest acknowledged number of each writer of a program killed under load."""
    program = subprocess.Popen(
        [sys.executable, crash_writer.__file__, str(file), str(WRITERS)], stdout=subprocess.PIPE
    )
    assert program.stdout is not None
    seen: dict[int, int] = {}
    with program:
        for count, line in enumerate(program.stdout):
            writer, number = map(int, line.split())
            seen[writer] = number
            if count == acknowledgements:
                program.kill()
    return seen


async def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    for number in range(ROUNDS):
        file = tmp_path / str(number) / "store.db"
        acknowledged = killed_after(file, random.randrange(100, 3000))
        assert len(acknowledged) == WRITERS
        store = EmbeddedStore(file)
        await store.open()
        for writer, newest in acknowledged.items():
            found = store.read(lambda t, writer=writer: written(t, writer))  # type: ignore[misc]
            assert found >= newest
        await store.close()


def written(transaction: Transaction, writer: int) -> int:
    """The newest number of a writer; all before it are there, and its count agrees."""
    items = list(transaction.items(f"writer/{writer}"))
    assert [key for key, _ in items] == [str(number) for number in range(len(items))]
    assert all(len(value) == int(key) % 300 for key, value in items)
    assert transaction.get("counts", str(writer)) == str(len(items) - 1).encode()
    return len(items) - 1
