"""Connections to NATS, and its failures in our words."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from iii_engine.extras import need
from iii_engine.net.server_url import CONNECT_SECONDS, masked
from iii_engine.storage.base import ServerLost, StoreError

if TYPE_CHECKING:
    from nats.aio.client import Client

log = logging.getLogger("iii.nats")

#: Seconds without an answer after which a request is given up.
ANSWER_SECONDS: Final = 5.0
#: Seconds between attempts to come back to a server that was lost.
RECONNECT_SECONDS: Final = 0.25
#: Bytes that may wait to be sent.
PENDING_BYTES: Final = 64 * 1024 * 1024
#: Longer subjects do not fit in a line of the protocol.
MAX_SUBJECT: Final = 3000


async def open_nats(url: str) -> Client:
    """A client that is connected, and comes back by itself when the server was lost.

    Raises `MissingExtra`, or `StoreError` that names the server.
    """
    need("nats", "an adapter 'nats'")
    from nats.aio.client import Client

    client = Client()
    problems: list[Exception] = []

    async def on_error(error: Exception) -> None:
        problems[:] = [error]
        if client.is_connected:
            log.warning("NATS at %s: %s", masked(url), error)

    try:
        with told(url):
            async with asyncio.timeout(CONNECT_SECONDS):
                await client.connect(
                    [part.strip() for part in url.split(",")],
                    name="iii",
                    error_cb=on_error,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=RECONNECT_SECONDS,  # type: ignore[arg-type]
                    connect_timeout=int(CONNECT_SECONDS),
                    pending_size=PENDING_BYTES,
                    ping_interval=5,
                )
    except ServerLost as error:
        await client.close()
        if not problems:
            raise
        with told(url):
            raise problems[0] from error
        raise
    except BaseException:
        await client.close()
        raise
    client.options["max_reconnect_attempts"] = -1
    return client


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
        reason = str(error).removeprefix("nats: ").strip(" .") or "no answer"
        if "authorization" in reason.lower():
            raise StoreError(f"{where} refuses the login: {reason}") from None
        raise ServerLost(f"{where} cannot be reached: {reason}") from None


def token(text: str) -> str:
    """Any text as one token of a subject: letters, digits, `-_/`, and `=XX` for other bytes."""
    return re.sub(rb"[^A-Za-z0-9_/-]", lambda m: b"=%02X" % m[0][0], text.encode()).decode() or "="


def text_of(token: str) -> str:
    """What `token` was made of."""
    if token == "=":
        return ""
    found = re.sub(rb"=([0-9A-F]{2})", lambda m: bytes((int(m[1], 16),)), token.encode())
    return found.decode()
