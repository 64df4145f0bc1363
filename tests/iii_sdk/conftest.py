"""A small engine for the SDK's tests: the real core behind a picows server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)
from tests.support.servers import free_port
from tests.support.waiting import until

from iii_engine.core.clock import SystemClock, SystemIds
from iii_engine.core.engine import Engine
from iii_engine.core.router import Call
from iii_engine.core.sessions import Session
from iii_engine.core.triggers import Trigger, TriggerType
from iii_sdk import Bus, Worker, connect


class WorkerSocket(WSListener):
    """One worker, on the engine's side."""

    def __init__(self, owner: FakeEngine, request: WSUpgradeRequest) -> None:
        self.owner = owner
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        self.session: Session | None = None
        self.frames: list[dict[str, Any]] = []

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.owner.sockets.append(self)
        self.owner.connections += 1
        if self.owner.refuse is not None:
            error = {"code": "AUTH_ERROR", "message": self.owner.refuse}
            transport.send(WSMsgType.TEXT, json.dumps({"type": "error", "error": error}).encode())
            self.close(1008, b"AUTH_ERROR")
            return
        self.session = self.owner.core.connect(lambda session: self.owner.soon(self.flush))

    def flush(self) -> None:
        if self.session is None:
            return
        for frame in self.session.take():
            self.transport.send(WSMsgType.TEXT, frame)
        if self.session.close_code:
            self.close(self.session.close_code)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.owner.frames += 1
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close()
            transport.disconnect()
        elif self.session is not None and not self.owner.deaf:
            data = frame.get_payload_as_bytes()
            if frame.msg_type is WSMsgType.BINARY:
                self.owner.telemetry.append((data[:4].decode(), json.loads(data[4:])))
                return
            if self.owner.record:
                self.frames.append(json.loads(data))
            self.owner.core.receive(self.session, data)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.owner.sockets.remove(self)
        if self.session is not None:
            self.owner.core.disconnect(self.session)

    def close(self, code: int, reason: bytes = b"") -> None:
        body = code.to_bytes(2, "big") + reason
        self.transport.underlying_transport.write(bytes((0x88, len(body))) + body)
        self.transport.disconnect()


class ChannelEnd(WSListener):
    """One end of a data channel; frames for a reader that is not there yet are kept."""

    def __init__(self, pipe: Pipe, direction: str) -> None:
        self.pipe = pipe
        self.direction = direction

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.pipe.ends[self.direction] = self
        self.pipe.pump()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close()
            transport.disconnect()
        else:
            self.pipe.frames.append((frame.msg_type, frame.get_payload_as_bytes()))
            self.pipe.pump()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self.direction == "write":
            self.pipe.finished = True
        elif (writer := self.pipe.ends.get("write")) is not None:
            writer.transport.disconnect()
        self.pipe.pump()


class Pipe:
    def __init__(self) -> None:
        self.ends: dict[str, ChannelEnd] = {}
        self.frames: list[tuple[WSMsgType, bytes]] = []
        self.seen: list[tuple[WSMsgType, bytes]] = []
        self.finished = False
        self.done = asyncio.Event()

    def pump(self) -> None:
        reader = self.ends.get("read")
        if reader is not None:
            for kind, data in self.frames:
                reader.transport.send(kind, data)
            self.frames.clear()
            if self.finished:
                reader.transport.send_close(1000)
                reader.transport.disconnect()
        if self.finished:
            self.done.set()


class FakeEngine:
    """`core` is a real engine; `cut`, `stop` and `start` are what happens to it."""

    def __init__(self) -> None:
        self.port = free_port()
        self.deaf = False
        self.record = False
        self.refuse: str | None = None
        self.connections = 0
        self.frames = 0
        self.metadata: list[dict[str, Any]] = []
        self.telemetry: list[tuple[str, Any]] = []
        self.pipes: dict[str, Pipe] = {}
        self.triggers: dict[str, Trigger] = {}
        self._server: asyncio.Server | None = None
        self._new_core()

    def _new_core(self) -> None:
        self.sockets: list[WorkerSocket] = []
        self.core = Engine(SystemClock(), SystemIds())
        self.core.add_function("engine::workers::register", self._register, module="test")
        self.core.add_function("engine::channels::create", self._create_channel, module="test")
        for kind in ("http", "cron", "subscribe", "state", "durable:subscriber"):
            self.core.add_trigger_type(
                TriggerType(kind, module="test", bind=self._bind, unbind=self._unbind)
            )

    def _bind(self, trigger: Trigger) -> None:
        self.triggers[trigger.id] = trigger

    def _unbind(self, trigger: Trigger) -> None:
        self.triggers.pop(trigger.id, None)

    def _register(self, call: Call) -> None:
        self.metadata.append(json.loads(bytes(call.data)))
        call.reply()

    def _create_channel(self, call: Call) -> None:
        call.reply(json.dumps(self.new_channel()).encode())

    def new_channel(self) -> dict[str, dict[str, str]]:
        name = f"c{len(self.pipes)}"
        self.pipes[name] = Pipe()
        return {
            end: {"channel_id": name, "access_key": "k&/", "direction": direction}
            for end, direction in (("writer", "write"), ("reader", "read"))
        }

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def soon(self, work: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(work)

    def _listener(self, request: WSUpgradeRequest) -> WSListener | None:
        parts = urlsplit(request.path.decode())
        if not parts.path.startswith("/ws/channels/"):
            return WorkerSocket(self, request)
        query = parse_qs(parts.query)
        pipe = self.pipes.get(parts.path.rpartition("/")[2])
        if pipe is None or query["key"] != ["k&/"]:
            return None
        return ChannelEnd(pipe, query["dir"][0])

    async def start(self) -> None:
        self._server = await ws_create_server(
            self._listener, "127.0.0.1", self.port, max_frame_size=64 * 1024 * 1024
        )

    async def stop(self) -> None:
        """As a kill: every socket drops, everything is forgotten."""
        if self._server is not None:
            self._server.close()
            self.cut()
            await self._server.wait_closed()
            self._server = None
        self._new_core()

    def cut(self, code: int | None = None) -> None:
        """End every connection: with a close code, or by a reset."""
        for socket in list(self.sockets):
            if code is None:
                socket.transport.underlying_transport.abort()
            else:
                socket.close(code)

    async def call(self, function_id: str, data: object = None) -> Any:
        """Call as a module does. Raises `LookupError` with the error body."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def on_answer(result: Any, error: Any) -> None:
            if error is not None:
                answer.set_exception(LookupError(error.code, error.message))
            else:
                answer.set_result(json.loads(bytes(result)))

        self.core.call(function_id, json.dumps(data).encode(), on_answer)
        return await answer


@asynccontextmanager
async def serving(worker: Worker, url: str) -> AsyncIterator[None]:
    """A worker that is ready for the block."""
    ready = asyncio.Event()
    task = asyncio.create_task(worker.serve(url, ready=ready))
    try:
        async with asyncio.timeout(10):
            await ready.wait()
        yield
    finally:
        await worker.stop(drain=0)
        await task


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    fake = FakeEngine()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def bus(engine: FakeEngine) -> AsyncIterator[Bus]:
    async with connect(engine.url, name="test-client") as client:
        yield client


Serve = Callable[[Worker], Awaitable[None]]


@pytest.fixture
async def serve(engine: FakeEngine) -> AsyncIterator[Serve]:
    """Serve workers until the test ends."""
    blocks: list[Any] = []

    async def start(worker: Worker) -> None:
        block = serving(worker, engine.url)
        await block.__aenter__()
        blocks.append(block)

    yield start
    for block in reversed(blocks):
        await block.__aexit__(None, None, None)


@pytest.fixture
def wait_until() -> Callable[..., Awaitable[object]]:
    return until


@pytest.fixture(autouse=True)
def fast_reconnects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of reconnection do not wait for whole seconds."""
    monkeypatch.setattr("iii_sdk.connection.Backoff", _fast)


def _fast() -> Any:
    from iii_sdk.backoff import Backoff

    return Backoff(initial=0.02, maximum=0.1)
