"""One call at a time, for everything around the measurements that is not measured itself."""

from __future__ import annotations

import asyncio
import time

import msgspec
import picows
from msgspec import Raw, Struct
from picows import WSFrame, WSListener, WSTransport

from benchmarks import loops, wire
from benchmarks.processes import PATIENCE, Failed

NULL = Raw(b"null")


class Answer(Struct):
    result: Raw = NULL
    error: Raw = NULL


class OneCall(WSListener):
    def __init__(self, function_id: str, data: bytes) -> None:
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        call_id = wire.invocation_id(time.monotonic_ns())
        self._call = wire.call_head(function_id) + call_id + wire.CALL_MIDDLE + data + b"}"

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.underlying_transport.write(wire.client_frame(self._call))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        message = frame.get_payload_as_bytes()
        if message.startswith(wire.RESULT_HEAD) and not self.answer.done():
            self.answer.set_result(msgspec.json.decode(message, type=Answer))


async def ask_async(url: str, function_id: str, data: bytes, timeout: float) -> Answer:
    """As `ask`, on the running loop."""
    transport, listener = await picows.ws_connect(lambda: OneCall(function_id, data), url)
    assert isinstance(listener, OneCall)
    try:
        return await asyncio.wait_for(listener.answer, timeout)
    except TimeoutError:
        raise Failed(f"{function_id} did not answer within {timeout:g} s") from None
    finally:
        transport.disconnect()


def ask(url: str, function_id: str, data: object, timeout: float = 30.0) -> Raw:
    """Call a function and return its result as JSON. Raises `Failed` with the error."""
    answer = loops.run(ask_async(url, function_id, msgspec.json.encode(data), timeout))
    if answer.error != NULL:
        raise Failed(f"{function_id}: {bytes(answer.error).decode()}")
    return answer.result


def wait_for_function(url: str, function_id: str, data: object) -> None:
    """Call it until it answers without an error."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            ask(url, function_id, data)
        except Failed:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
