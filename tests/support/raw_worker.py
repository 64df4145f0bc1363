"""A worker made of nothing but a WebSocket: frames are JSON objects, sent and read one by one."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.support.waiting import PATIENCE
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

Frame = dict[str, Any]


class CallFailed(Exception):
    """A call was answered with an error body."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code: str = error["code"]
        self.message: str = error["message"]


class RawWorker:
    """One connection. Use as `async with RawWorker(url) as worker`.

    Frames that nobody took yet stay in `frames`; `receive` takes the first that matches, so the
    order in which a test asks does not matter.
    """

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self._url = url
        self._headers = headers
        self._arrived = asyncio.Event()
        self.frames: list[Frame] = []
        self.id = ""

    async def __aenter__(self) -> RawWorker:
        self.socket: ClientConnection = await connect(
            self._url, additional_headers=self._headers, max_size=None
        )
        self._reader = asyncio.create_task(self._read())
        self.id = (await self.receive("workerregistered"))["worker_id"]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self.socket.close()
        await self._reader

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for message in self.socket:
                self.frames.append(json.loads(message))
                self._arrived.set()

    async def close_code(self, timeout: float = PATIENCE) -> int:
        """Wait until the engine ends the connection; its close code, 1006 when there was none."""
        async with asyncio.timeout(timeout):
            await self.socket.wait_closed()
        return self.socket.close_code or 1006

    # -- frames ----------------------------------------------------------------------------------

    async def send(self, type: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": type, **fields}))

    async def send_text(self, text: str) -> None:
        await self.socket.send(text)

    async def receive(
        self,
        type: str,
        where: Callable[[Frame], bool] = lambda frame: True,
        timeout: float = PATIENCE,
    ) -> Frame:
        """Take the first frame of this type that `where` accepts."""
        async with asyncio.timeout(timeout):
            while True:
                for frame in self.frames:
                    if frame["type"] == type and where(frame):
                        self.frames.remove(frame)
                        return frame
                self._arrived.clear()
                await self._arrived.wait()

    # -- conversations ---------------------------------------------------------------------------

    async def call(self, function_id: str, data: Any = None, **fields: Any) -> Any:
        """Call and wait for the result. Raises `CallFailed`."""
        wanted = str(uuid.uuid4())
        await self.send(
            "invokefunction", function_id=function_id, invocation_id=wanted, data=data, **fields
        )
        frame = await self.receive("invocationresult", lambda f: f["invocation_id"] == wanted)
        if frame.get("error") is not None:
            raise CallFailed(frame["error"])
        return frame.get("result")

    async def failure(self, function_id: str, data: Any = None) -> tuple[str, str]:
        """Call; code and message of the error that it must end with."""
        try:
            result = await self.call(function_id, data)
        except CallFailed as error:
            return error.code, error.message
        raise AssertionError(f"{function_id} answered {result!r}")

    async def register(self, function_id: str, **fields: Any) -> None:
        """Register a function and wait until the engine has it (a ping answers in order)."""
        await self.send("registerfunction", id=function_id, **fields)
        await self.settle()

    async def register_trigger(
        self, trigger_type: str, function_id: str, config: Any = None, **fields: Any
    ) -> str:
        """Bind a function; the trigger's id."""
        trigger_id = fields.pop("id", None) or str(uuid.uuid4())
        await self.send(
            "registertrigger",
            id=trigger_id,
            trigger_type=trigger_type,
            function_id=function_id,
            config=config,
            **fields,
        )
        await self.settle()
        return trigger_id

    async def settle(self) -> None:
        """Wait until the engine has read everything sent so far."""
        await self.send("ping")
        await self.receive("pong")

    async def invoked(self, function_id: str, timeout: float = PATIENCE) -> Frame:
        """The next call of a function that this worker has to answer."""
        return await self.receive(
            "invokefunction", lambda f: f["function_id"] == function_id, timeout
        )

    async def answer(self, invocation: Frame, result: Any = None) -> None:
        await self.send(
            "invocationresult",
            invocation_id=invocation["invocation_id"],
            function_id=invocation["function_id"],
            result=result,
        )

    async def hears(self, function_id: str, count: int) -> set[Any]:
        """Answer calls of a function until it got so many different payloads: these."""
        heard = set[Any]()
        while len(heard) < count:
            invocation = await self.invoked(function_id)
            heard.add(invocation["data"])
            await self.answer(invocation)
        return heard

    async def fail(self, invocation: Frame, code: str, message: str) -> None:
        await self.send(
            "invocationresult",
            invocation_id=invocation["invocation_id"],
            function_id=invocation["function_id"],
            error={"code": code, "message": message},
        )
