"""A client that watches streams: a WebSocket whose frames are JSON objects."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.support.waiting import PATIENCE
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

Frame = dict[str, Any]


class StreamClient:
    """One connection. Use as `async with StreamClient(url) as client`."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self._url = url
        self._headers = headers

    async def __aenter__(self) -> StreamClient:
        self.socket: ClientConnection = await connect(
            self._url, additional_headers=self._headers, max_size=None
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()

    async def say(self, type: str, subscription: str, **data: Any) -> None:
        await self.socket.send(
            json.dumps({"type": type, "data": {"subscriptionId": subscription, **data}})
        )

    async def join(
        self, stream: str, group: str, id: str | None = None, *, subscription: str = "s1"
    ) -> Frame:
        """Subscribe; the first answer."""
        data = {"streamName": stream, "groupId": group}
        await self.say("join", subscription, **data, **({} if id is None else {"id": id}))
        return await self.next()

    async def leave(self, stream: str, group: str, *, subscription: str = "s1") -> None:
        await self.say("leave", subscription, streamName=stream, groupId=group)
        await self.settle()

    async def next(self, timeout: float = PATIENCE) -> Frame:
        """The next frame."""
        async with asyncio.timeout(timeout):
            frame: Frame = json.loads(await self.socket.recv())
        return frame

    async def event(self, timeout: float = PATIENCE) -> Frame:
        """What the next frame says that happened."""
        event: Frame = (await self.next(timeout))["event"]
        return event

    async def settle(self) -> None:
        """Wait until the engine has read everything sent so far (it answers pings in order)."""
        await (await self.socket.ping())

    async def close_code(self, timeout: float = PATIENCE) -> int:
        """Wait until the engine ends the connection; its close code, 1006 when there was none."""
        async with asyncio.timeout(timeout):
            await self.socket.wait_closed()
        return self.socket.close_code or 1006


async def upgrade(url: str, headers: dict[str, str] | None = None) -> int:
    """Connect and go; the status that the upgrade is answered with."""
    try:
        async with StreamClient(url, headers):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code
