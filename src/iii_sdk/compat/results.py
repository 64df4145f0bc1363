"""Calls under way, and values as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import Future
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw

from iii_sdk.compat.errors import IIIInvocationError
from iii_sdk.compat.mailbox import mailbox
from iii_sdk.protocol import tolerant_raw

T = TypeVar("T")


class PendingCall(Generic[T]):
    """The result of something that was started: `await` it on any event loop, or `result()`.

    `may_block` says whether the current thread may wait; those that the SDK owns may not.
    """

    def __init__(self, future: Future[T], may_block: Callable[[], bool] = lambda: True) -> None:
        self._future = future
        self._may_block = may_block

    def __await__(self) -> Generator[Any, None, T]:
        return self._wait().__await__()

    async def _wait(self) -> T:
        if not self._future.done():
            loop = asyncio.get_running_loop()
            news: asyncio.Future[None] = loop.create_future()
            box = mailbox(loop)
            self._future.add_done_callback(lambda _: box.post(partial(_resolve, news)))
            await news
        return self._future.result(0)

    def result(self, timeout: float | None = None) -> T:
        """Wait and return the result. `timeout` is in seconds.

        Raises what the call raised, `TimeoutError` when `timeout` is over (the call goes on), and
        `RuntimeError` on an event loop of the SDK, which must not be blocked: await it there.
        """
        if not self._future.done() and not self._may_block():
            raise RuntimeError("an async handler must await the call instead of blocking its loop")
        return self._future.result(timeout)

    def done(self) -> bool:
        return self._future.done()


def _resolve(news: asyncio.Future[None]) -> None:
    if not news.done():  # whoever stops waiting takes nothing from others who wait
        news.set_result(None)


def completed(value: T) -> PendingCall[T]:
    """A result that is there already."""
    future: Future[T] = Future()
    future.set_result(value)
    return PendingCall(future)


def dump(value: object) -> bytes:
    """A value as JSON; raises `IIIInvocationError` with code `serialization_error`.

    Beside plain values it takes pydantic models, dataclasses, msgspec Structs, numpy arrays and
    scalars, dates (ISO 8601), sets (as lists), bytes (base64) and ends of channels (as references).
    NaN and infinities become null.
    """
    try:
        return _encode(value)
    except (OverflowError, UnicodeEncodeError):
        return bytes(tolerant_raw(msgspec.to_builtins(value, enc_hook=_plain)))
    except (TypeError, ValueError, RecursionError) as error:
        raise IIIInvocationError("serialization_error", str(error)) from None


def raw(value: object) -> Raw:
    return Raw(dump(value))


def _plain(value: Any) -> object:
    """What stands in JSON for an object that the codec does not know."""
    if hasattr(value, "to_wire"):
        return value.to_wire()
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


_encode = msgspec.json.Encoder(enc_hook=_plain).encode
