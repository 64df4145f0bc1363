"""A program that writes to a store with many hands and says on standard output what is durable.

It goes on until it is killed. Arguments: the store's file and the number of writers.
"""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from pathlib import Path

from iii_engine.storage.base import Transaction
from iii_engine.storage.embedded import EmbeddedStore


async def main(file: Path, writers: int) -> None:
    store = EmbeddedStore(file)
    await store.open()
    for writer in range(writers):
        write_next(store, writer, 0)
    await asyncio.Event().wait()


def write_next(store: EmbeddedStore, writer: int, number: int) -> None:
    """One writer: a key of its own, and the count of its writes in the same transaction."""

    def work(transaction: Transaction) -> None:
        transaction.put(f"writer/{writer}", str(number), b"x" * (number % 300))
        transaction.put("counts", str(writer), str(number).encode())

    store.write(work, partial(acknowledged, store, writer, number))


def acknowledged(
    store: EmbeddedStore, writer: int, number: int, _: None, error: BaseException | None
) -> None:
    if error is not None:
        raise error
    os.write(1, f"{writer} {number}\n".encode())
    write_next(store, writer, number + 1)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
