"""What the library of RabbitMQ raises, in our words."""

from __future__ import annotations

import asyncio

import pytest

from iii_engine.modules.queue.rabbitmq.failures import told
from iii_engine.storage.base import ServerLost, StoreError

URL = "amqp://guest:guest@nowhere/"


@pytest.mark.parametrize(
    "raised", [Exception(), RuntimeError("<Connection> closed"), asyncio.CancelledError()]
)
async def test_what_ends_with_the_connection_is_a_server_that_is_lost(
    raised: BaseException,
) -> None:
    lost = pytest.raises(ServerLost, match="the connection went in the middle of a request")
    with lost, told(URL):
        raise raised


async def test_a_task_that_is_cancelled_ends() -> None:
    async def work() -> None:
        with told(URL):
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_mistakes_of_ours_stay_what_they_are() -> None:
    for error in (StoreError("full"), KeyError("k"), ValueError("v")):
        with pytest.raises(type(error)) as found, told(URL):
            raise error
        assert found.value is error
