"""A lean client: calls over one connection, and a callback for each answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
import picows
from picows import WSFrame, WSListener, WSMsgType, WSTransport

#: Receives (result, error), one of which is None.
OnAnswer: TypeAlias = Callable[[Any, Any], None]


class Link(WSListener):
    """One connection. After its end nothing is answered any more; `lost` says when.

    `problem` is what a callback raised: the end of the connection as well.
    """

    def __init__(self) -> None:
        self.waiting: dict[str, OnAnswer] = {}
        self.problem: Exception | None = None
        self.lost = asyncio.Event()
        self._count = 0
        self._transport: WSTransport

    @classmethod
    async def open(cls, url: str) -> Link:
        _, link = await picows.ws_connect(cls, url, max_frame_size=64 * 1024 * 1024)
        assert isinstance(link, cls)
        return link

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        message = msgspec.json.decode(frame.get_payload_as_bytes())
        if message["type"] == "invocationresult":
            try:
                answered = self.waiting.pop(message["invocation_id"])
                answered(message.get("result"), message.get("error"))
            except Exception as problem:  # noqa: BLE001  (picows would only log it)
                self.problem = problem
                transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.lost.set()

    def call(self, function_id: str, data: Any, on_answer: OnAnswer) -> None:
        """Send a call. A link that is lost takes it and never answers."""
        self._count += 1
        call_id = f"call-{self._count}"
        self.waiting[call_id] = on_answer
        message = {
            "type": "invokefunction",
            "invocation_id": call_id,
            "function_id": function_id,
            "data": data,
        }
        if not self.lost.is_set():
            self._transport.send(WSMsgType.TEXT, msgspec.json.encode(message))

    async def ended(self) -> None:
        """Wait for the end of the connection; raises what a callback raised."""
        await asyncio.wait_for(self.lost.wait(), 30)
        if self.problem is not None:
            raise self.problem

    async def ask(self, function_id: str, data: Any) -> Any:
        """Call and wait for the result."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def answered(result: Any, error: Any) -> None:
            assert error is None, error
            answer.set_result(result)

        self.call(function_id, data, answered)
        return await asyncio.wait_for(answer, 30)

    def close(self) -> None:
        self._transport.disconnect()
