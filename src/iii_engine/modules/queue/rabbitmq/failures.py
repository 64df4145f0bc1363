"""Failures of RabbitMQ, and of the library that talks to it, in our words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from iii_engine.net.server_url import masked, reason
from iii_engine.storage.base import ServerLost, StoreError


@contextmanager
def told(url: str) -> Iterator[None]:
    """Failures of RabbitMQ as `ServerLost` or `StoreError` that name the server.

    A connection that goes in the middle of a request ends it with whatever the library has at hand:
    a bare `Exception`, a `RuntimeError`, or a cancellation that nobody here has asked for.
    """
    from aio_pika import exceptions as pika

    where = f"RabbitMQ at {masked(url)}"
    try:
        yield
    except StoreError:
        raise
    except (pika.AuthenticationError, pika.ProbableAuthenticationError) as error:
        raise StoreError(f"{where} refuses the login: {reason(url, error)}") from None
    except pika.DeliveryError:
        raise StoreError(f"{where} has not stored a message") from None
    except pika.ChannelClosed as error:
        raise StoreError(f"{where}: {error}") from None
    except (pika.AMQPError, pika.ChannelInvalidStateError, TimeoutError, OSError) as error:
        what = reason(url, error)
        if "ACCESS_REFUSED" in str(error):
            raise StoreError(f"{where} refuses the login: {what}") from None
        raise ServerLost(f"{where} cannot be reached: {what}") from None
    except asyncio.CancelledError:
        if _asked_for():
            raise
        raise _gone(where) from None
    except Exception as error:
        if isinstance(error, RuntimeError) or type(error) is Exception:
            raise _gone(where) from None
        raise


def _asked_for() -> bool:
    """Whether somebody has cancelled this task."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _gone(where: str) -> ServerLost:
    return ServerLost(f"{where} cannot be reached: the connection went in the middle of a request")
