"""Connections to Redis, and its failures in our words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from iii_engine.extras import need
from iii_engine.net.server_url import CONNECT_SECONDS, masked, no_address, reason
from iii_engine.storage.base import ServerLost, StoreError

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger("iii.redis")

#: Seconds without an answer after which a connection is given up.
ANSWER_SECONDS: Final = 5.0


def make_redis(url: str, answer_seconds: float | None = ANSWER_SECONDS) -> Redis:
    """A client that connects when it is used and never tries again by itself.

    Raises `MissingExtra`, or `StoreError` for an address that is none.
    """
    need("redis", "an adapter 'redis'")
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    try:
        return Redis.from_url(
            url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=answer_seconds,
            socket_connect_timeout=CONNECT_SECONDS,
        )
    except ValueError:
        raise StoreError(no_address(url, "Redis")) from None


async def open_redis(url: str, answer_seconds: float | None = ANSWER_SECONDS) -> Redis:
    """A client whose server has answered. Raises as `make_redis`, and `StoreError`."""
    client = make_redis(url, answer_seconds)
    try:
        with told(url):
            async with asyncio.timeout(CONNECT_SECONDS):
                await client.ping()
    except BaseException:
        await client.aclose()
        raise
    return client


async def warn_of_loss(client: Redis, url: str, what: str, key: str) -> None:
    """Log when the server does not keep what it acknowledges; some may not be asked."""
    try:
        await check_keeping(client, url, key)
    except StoreError as error:
        log.warning("%s", error)
    try:
        with told(url):
            kept = (await client.info("persistence")).get("aof_enabled")
    except StoreError as error:
        log.debug("%s", error)
        return
    if not kept:
        log.warning(
            "Redis at %s has no append-only file: %s are lost when it ends (appendonly yes, "
            "appendfsync always keep them)",
            masked(url),
            what,
        )


async def check_keeping(client: Redis, url: str, key: str) -> None:
    """Ask whether the server takes changes, and keeps what it has when it is full.

    `key` is one that the login may use; what may not be asked is taken for granted. Raises
    `StoreError` that says what is wrong.
    """
    from redis.exceptions import NoPermissionError, ResponseError

    with told(url):
        try:
            await client.zadd(key, {"": 0}, xx=True)  # needs room, and changes nothing
        except NoPermissionError:
            await client.ping()
        try:
            memory = await client.info("memory")
        except ResponseError:
            return
    policy = memory.get("maxmemory_policy", "noeviction")
    if memory.get("maxmemory") and policy != "noeviction":
        raise StoreError(
            f"Redis at {masked(url)} drops what it has acknowledged when it is full "
            f"(maxmemory-policy {policy}; noeviction keeps it)"
        )


@contextmanager
def told(url: str) -> Iterator[None]:
    """Failures of Redis as `ServerLost` or `StoreError` that name the server."""
    import redis

    where = f"Redis at {masked(url)}"
    try:
        yield
    except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
        raise StoreError(f"{where} refuses the login: {reason(url, error)}") from None
    except (redis.ConnectionError, redis.TimeoutError, TimeoutError, OSError) as error:
        raise ServerLost(f"{where} cannot be reached: {reason(url, error)}") from None
    except redis.RedisError as error:
        raise StoreError(f"{where}: {error}") from None
    except RuntimeError as error:
        if "handler is closed" not in str(error):
            raise
        # So says the loop of a connection that ended just before it was written to.
        raise ServerLost(f"{where} cannot be reached: the connection ended") from None
