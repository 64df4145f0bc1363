"""Connections to NATS, and its failures in our words."""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from iii_engine.extras import need
from iii_engine.net.server_url import CONNECT_SECONDS, masked, reason
from iii_engine.storage.base import ServerLost, StoreError

if TYPE_CHECKING:
    from nats.aio.client import Client

log = logging.getLogger("iii.nats")

T = TypeVar("T")

#: Seconds without an answer after which a request is given up.
ANSWER_SECONDS: Final = 5.0
#: Seconds between attempts to come back to a server that was lost.
RECONNECT_SECONDS: Final = 0.25
#: Bytes that may wait to be sent.
PENDING_BYTES: Final = 64 * 1024 * 1024
#: What a message has of its own beside its data and its headers.
HEADER_BYTES: Final = 128
#: Longer subjects do not fit in a line of the protocol.
MAX_SUBJECT: Final = 3000


class NatsConnection:
    """A connection that comes back by itself when its server was lost."""

    def __init__(self, url: str) -> None:
        """Raises `MissingExtra`."""
        need("nats", "an adapter 'nats'")
        from iii_engine.net.tolerant_nats import TolerantClient

        self.url = url
        self.client: Client = TolerantClient()
        self._asking: set[asyncio.Task[object]] = set()
        self._problem: Exception | None = None

    @property
    def where(self) -> str:
        """For messages, without a password."""
        return f"NATS at {masked(self.url)}"

    @property
    def connected(self) -> bool:
        return self.client.is_connected

    @property
    def sessions(self) -> int:
        """How often it came back: another number is another session at the server."""
        return self.client.stats["reconnects"]

    async def open(self, reconnected: Callable[[], Awaitable[None]] | None = None) -> None:
        """Raises `StoreError` that names the server."""
        try:
            with told(self.url):
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self.client.connect(
                        [part.strip() for part in self.url.split(",")],
                        name="iii",
                        error_cb=self._on_error,
                        disconnected_cb=self._on_loss,
                        reconnected_cb=reconnected,
                        max_reconnect_attempts=1,
                        reconnect_time_wait=RECONNECT_SECONDS,  # type: ignore[arg-type]
                        connect_timeout=math.ceil(CONNECT_SECONDS),
                        pending_size=PENDING_BYTES,
                        ping_interval=5,
                    )
        except BaseException as error:
            await self.close()
            if isinstance(error, ServerLost) and self._problem is not None:
                with told(self.url):
                    raise self._problem from None  # it says more
            raise
        self.client.options["max_reconnect_attempts"] = -1

    async def close(self) -> None:
        with suppress(AssertionError):  # the client's own, when it has not come to connecting
            await self.client.close()

    async def ask(self, request: Coroutine[Any, Any, T]) -> T:
        """The answer to a request. Raises `ServerLost` at once when the connection is lost.

        Nothing is sent to a server that is away: it would arrive who knows when.
        """
        if not self.client.is_connected:
            request.close()
            raise self._lost()
        task = asyncio.get_running_loop().create_task(request)
        asker = asyncio.current_task()
        self._asking.add(task)
        try:
            with told(self.url):
                return await task
        except asyncio.CancelledError:
            if asker is None or asker.cancelling():
                raise
            raise self._lost() from None
        finally:
            self._asking.discard(task)
            task.cancel()

    def too_large(
        self, data: bytes, headers: Mapping[str, str], room: int = 0
    ) -> StoreError | None:
        """Why the server would not take that, or not with `room` more bytes; it would end the
        connection for it."""
        size = len(data) + room + sum(len(name) + len(value) + 8 for name, value in headers.items())
        limit = self.client.max_payload
        if size + HEADER_BYTES <= limit:
            return None
        return StoreError(f"{self.where} takes no {len(data):,} bytes (max_payload {limit:,})")

    def _lost(self) -> ServerLost:
        return ServerLost(f"{self.where} cannot be reached: the connection is lost")

    async def _on_loss(self) -> None:
        for task in self._asking:
            task.cancel()

    async def _on_error(self, error: Exception) -> None:
        self._problem = error
        if self.client.is_connected:
            log.warning("%s: %s", self.where, reason(self.url, error))


@contextmanager
def told(url: str) -> Iterator[None]:
    """Failures of NATS as `ServerLost` or `StoreError` that name the server."""
    import nats.errors
    import nats.js.errors as js

    where = f"NATS at {masked(url)}"
    try:
        yield
    except nats.errors.MaxPayloadError:
        raise StoreError(f"{where}: larger than its max_payload") from None
    except nats.errors.AuthorizationError:
        raise StoreError(f"{where} refuses the login") from None
    except (js.NoStreamResponseError, js.ServiceUnavailableError, nats.errors.NoRespondersError):
        raise ServerLost(f"{where}: JetStream is not available") from None
    except js.APIError as error:
        raise StoreError(f"{where}: {error.description}") from None
    except (nats.errors.Error, TimeoutError, OSError) as error:
        what = reason(url, error)
        if "authorization" in str(error).lower():
            raise StoreError(f"{where} refuses the login: {what}") from None
        raise ServerLost(f"{where} cannot be reached: {what}") from None


def token(text: str) -> str:
    """Any text as one token of a subject: letters, digits, `-_/`, and `=XX` for other bytes."""
    return re.sub(rb"[^A-Za-z0-9_/-]", lambda m: b"=%02X" % m[0][0], text.encode()).decode() or "="


def text_of(token: str) -> str:
    """What `token` was made of."""
    if token == "=":
        return ""
    found = re.sub(rb"=([0-9A-F]{2})", lambda m: bytes((int(m[1], 16),)), token.encode())
    return found.decode()
