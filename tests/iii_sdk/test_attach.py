"""Workers without a socket, and what an outbox does to a peer that does not read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from iii_engine.core.clock import SystemClock, SystemIds
from iii_engine.core.engine import Engine
from iii_engine.core.sessions import Session
from iii_sdk import Bus, BusError, Unavailable, Worker
from iii_sdk.connection import Connection
from iii_sdk.metadata import worker_metadata
from iii_sdk.outbox import Outbox
from iii_sdk.protocol import ChannelRef
from iii_sdk.transport import Receiver, Transport


class InProcess:
    """A transport and an endpoint at once: one worker on an engine in this process."""

    heard = True

    def __init__(self, core: Engine) -> None:
        self.core = core
        self.closing = asyncio.Event()

    async def connect(self, receiver: Receiver) -> Transport:
        self.receiver = receiver
        loop = asyncio.get_running_loop()
        self.session: Session = self.core.connect(lambda session: loop.call_soon(self.deliver))
        receiver.opened(self)
        return self

    async def open_channel(self, ref: ChannelRef, receiver: Receiver) -> Transport:
        raise ConnectionError("no channels here")

    def deliver(self) -> None:
        for frame in self.session.take():
            self.receiver.received(frame, True)

    def send(self, messages: Sequence[bytes]) -> None:
        for message in messages:
            self.core.receive(self.session, message)

    def send_bytes(self, data: bytes) -> None:
        assert data.startswith(b"OTLP")

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def ping(self) -> None: ...

    def close(self, code: int = 1000, reason: str = "") -> None:
        if not self.closing.is_set():
            self.core.disconnect(self.session)
            self.closing.set()
            self.receiver.closed(code, reason)

    abort = close

    async def wait_closed(self) -> None:
        await self.closing.wait()


async def test_a_worker_on_an_engine_in_the_same_process():
    core = Engine(SystemClock(), SystemIds())
    worker = Worker("inside")

    @worker.function("i::double")
    async def double(number: int) -> int:
        return 2 * number

    ready = asyncio.Event()
    serving = asyncio.create_task(worker.attach(InProcess(core), ready=ready))
    await ready.wait()
    connection = Connection(InProcess(core), worker_metadata("client"))
    running = asyncio.create_task(connection.run())
    bus = Bus(connection, "client")
    assert await bus.call("i::double", 4) == 8
    with pytest.raises(BusError, match="cannot be opened"):
        await bus.open_reader(ChannelRef("c", "k", "read"))
    await connection.close()
    await running
    await worker.stop()
    await serving
    assert not core.sessions


class Stalled:
    """A transport whose peer does not read."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.aborted = False

    def send(self, messages: Sequence[bytes]) -> None:
        self.sent += messages

    def abort(self) -> None:
        self.aborted = True


async def test_an_outbox_waits_while_the_peer_does_not_read(monkeypatch):
    monkeypatch.setattr("iii_sdk.outbox.OUTBOX_BYTES", 10)
    outbox = Outbox(asyncio.get_running_loop())
    transport = Stalled()
    outbox.send(b"nowhere")
    outbox.opened(transport)
    outbox.flow(False)
    outbox.send(b"12345678")
    await asyncio.sleep(0)
    assert transport.sent == []
    assert not outbox.full
    outbox.send(b"1234")
    assert outbox.full
    outbox.flow(True)
    assert transport.sent == [b"12345678", b"1234"]
    assert not outbox.full
    outbox.flow(False)
    outbox.send(b"x" * 20)
    assert not transport.aborted
    outbox.send(b"x")
    assert transport.aborted


async def test_calls_are_refused_when_the_engine_does_not_keep_up(bus, monkeypatch, caplog):
    monkeypatch.setattr("iii_sdk.outbox.OUTBOX_BYTES", 80)
    bus.connection.flow(False)
    bus.send("a::b", "x" * 10)
    with pytest.raises(Unavailable) as raised:
        await bus.call("a::b")
    assert raised.value.code == "connection_overloaded"
    bus.send("a::b")
    assert "does not keep up" in caplog.text
    bus.connection.flow(True)
    assert await bus.call("engine::channels::create", {})
