"""Waiting for what a store was asked to write or to read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from iii_engine.storage.base import Store, Transaction

S = TypeVar("S", bound=Store)
T = TypeVar("T")


@asynccontextmanager
async def opened(store: S) -> AsyncIterator[S]:
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def submit(store: Store, work: Callable[[Transaction], T]) -> asyncio.Future[T]:
    """What `work` returns or raises, once the store says it is done."""
    answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    store.write(work, done_of(answer))
    return answer


def look(store: Store, work: Callable[[Transaction], T]) -> asyncio.Future[T]:
    """What read-only `work` returns or raises, over what is committed."""
    answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    store.query(work, done_of(answer))
    return answer


def done_of(answer: asyncio.Future[T]) -> Callable[[T | None, BaseException | None], None]:
    def done(result: T | None, error: BaseException | None) -> None:
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]

    return done


async def put(store: Store, space: str, *keys: str, value: bytes = b"1") -> None:
    """Write keys in this order, one transaction each."""
    for key in keys:
        await submit(store, lambda t, key=key: t.put(space, key, value))  # type: ignore[misc]


async def keys(store: Store, space: str) -> list[str]:
    """The keys of a space in their order."""
    return await look(store, lambda t: [key for key, _ in t.items(space)])
