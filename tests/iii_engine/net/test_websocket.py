"""The worker listener over real sockets. Numbers are cases of the wire protocol §18."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import pytest
import websockets
from tests.support.waiting import until
from websockets.asyncio.client import ClientConnection, connect

from iii_engine.core.clock import SystemClock, SystemIds
from iii_engine.core.engine import Engine
from iii_engine.core.sessions import SLOW_BYTES
from iii_engine.net import websocket
from iii_engine.net.flusher import Writer, write_messages
from iii_engine.net.websocket import (
    PING_SECONDS,
    STALL_SECONDS,
    SWEEP_SECONDS,
    Limits,
    WorkerListener,
)


class Server:
    """A listener on a free port with an engine behind it."""

    def __init__(self, **limits: int) -> None:
        self.engine = Engine(SystemClock(), SystemIds())
        self.listener = WorkerListener(
            self.engine, asyncio.get_running_loop(), limits=Limits(**limits)
        )

    async def open(self) -> None:
        self.port = await self.listener.open("127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self.port}"

    async def worker(self, **options: Any) -> ClientConnection:
        """A connected worker; its first message has been read."""
        options.setdefault("compression", None)
        ws = await connect(self.url + "/", max_size=None, **options)
        assert json.loads(await ws.recv())["type"] == "workerregistered"
        return ws


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.open()
    yield server
    await server.listener.close()


async def ask(ws: ClientConnection, message: dict[str, Any] | str | bytes) -> dict[str, Any]:
    await ws.send(json.dumps(message) if isinstance(message, dict) else message)
    answer: dict[str, Any] = json.loads(await ws.recv())
    return answer


async def closed(ws: ClientConnection) -> int:
    with pytest.raises(websockets.ConnectionClosed):
        await ws.recv()
    return ws.close_code or 0


async def test_wire_case_2_telemetry_sockets_are_no_workers(server: Server) -> None:
    async with connect(server.url + "/otel") as ws:
        await ws.send(b'OTLP{"resourceSpans":[]}')
        await ws.send("ignored")
        pong = await ws.ping()
        await pong
        assert server.engine.sessions == {}


@pytest.mark.parametrize("path", ["/nope", "/ws/channels/x"])
async def test_wire_case_3_unknown_paths_are_404(server: Server, path: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as raised:
        await connect(server.url + path)
    assert raised.value.response.status_code == 404


async def test_health_and_missing_upgrade(server: Server) -> None:
    def get(path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}") as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    assert await asyncio.to_thread(get, "/health") == (200, b'{"status":"ok"}')
    assert (await asyncio.to_thread(get, "/"))[0] in (400, 426)


async def test_wire_case_4_malformed_messages_keep_the_connection(server: Server) -> None:
    ws = await server.worker()
    for frame in ("", " ", "not json", "[]", '{"type":"bogus"}'):
        await ws.send(frame)
    assert await ask(ws, {"type": "ping"}) == {"type": "pong"}
    await ws.close()


async def test_wire_case_5_a_binary_frame_is_a_message_too(server: Server) -> None:
    ws = await server.worker()
    assert await ask(ws, b'{"type":"ping"}') == {"type": "pong"}
    await ws.send(b'LOGS{"resourceLogs":[]}')
    await (await ws.ping(b"hi"))
    await ws.close()


@pytest.mark.parametrize("bad", [b"\xff", b"\xed\xa0\x80", b"\xc3("])
async def test_wrong_utf_8_in_a_binary_frame_reaches_nobody(server: Server, bad: bytes) -> None:
    worker, caller = await server.worker(), await server.worker()
    await worker.send('{"type":"registerfunction","id":"t::f"}')
    assert await ask(worker, {"type": "ping"}) == {"type": "pong"}
    call = b'{"type":"invokefunction","invocation_id":"i","function_id":"t::f","data":"%b"}'
    refused = await ask(caller, call % bad)
    assert refused["error"]["code"] == "invalid_message"
    await caller.send((call[:20], call[20:] % bad))  # in fragments
    assert json.loads(await caller.recv())["error"]["code"] == "invalid_message"
    await caller.send(call % "\u00e4".encode())
    assert json.loads(await worker.recv())["data"] == "\u00e4"
    await caller.close()
    await worker.close()


async def test_wire_case_7_sizes(server: Server) -> None:
    ws = await server.worker()
    await ws.send(["x" * 1024 * 1024 for _ in range(20)])
    assert await ask(ws, {"type": "ping"}) == {"type": "pong"}
    with contextlib.suppress(websockets.ConnectionClosed):  # it may be closed while it sends
        await ws.send("x" * 17 * 1024 * 1024)
    assert await closed(ws) == 1009


async def test_wire_case_9_compression_is_declined(server: Server) -> None:
    ws = await server.worker(compression="deflate")
    assert "Sec-WebSocket-Extensions" not in (ws.response.headers if ws.response else {})
    await ws.close()


async def test_wire_case_10_shutdown_says_1012(server: Server) -> None:
    ws = await server.worker()
    await server.listener.close()
    assert await closed(ws) == 1012
    with pytest.raises(OSError):
        await connect(server.url)


@pytest.mark.promise("Connections", "A web page of another machine cannot reach a listener.")
async def test_foreign_web_pages_are_refused(server: Server) -> None:
    with pytest.raises(websockets.InvalidStatus) as raised:
        await connect(server.url, origin=websockets.Origin("http://evil.example"))
    assert raised.value.response.status_code == 403
    ws = await server.worker(origin="http://localhost:3000")
    await ws.close()


def frame(opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0) -> bytes:
    """A masked client frame; the mask is zero."""
    head = bytes(((0x80 if fin else 0) | rsv << 4 | opcode, 0x80 | len(payload)))
    return head + bytes(4) + payload


async def upgraded(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection after the handshake, without a WebSocket library."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (frame(1, b"\xff\xfe"), 1007),
        (frame(1, b"x", rsv=4), 1002),
        (frame(2, b"x", rsv=1), 1002),
        (frame(0, b"x"), 1002),
        (frame(1, b"x", fin=False) + frame(1, b"y"), 1002),
        (frame(3, b"x"), 1002),
        (frame(9, b"x", fin=False), 1002),
        (b"\x81\x01x", 1002),  # unmasked
        (frame(8, b"\x03\xe8", rsv=2), 1002),
        (frame(8, b"\x03"), 1002),
        (frame(8, (1000).to_bytes(2, "big") + b"\xff"), 1007),
        (frame(8, b""), 1000),
        (frame(8, (4999).to_bytes(2, "big")), 4999),
        (frame(8, (1000).to_bytes(2, "big")) * 2, 1000),
        (frame(8, (1000).to_bytes(2, "big")) + frame(3, b"x"), 1000),
        *[(frame(8, code.to_bytes(2, "big")), 1002) for code in (0, 999, 1006, 5000, 65535)],
    ],
)
async def test_protocol_violations_get_their_close_code(
    server: Server, frames: bytes, code: int
) -> None:
    reader, writer = await upgraded(server)
    writer.write(frames)
    received = await reader.read()
    close = received.index(b"\x88")
    assert int.from_bytes(received[close + 2 : close + 4], "big") == code
    writer.close()
    await writer.wait_closed()
    # the listener is as good as before
    ws = await server.worker()
    assert await ask(ws, {"type": "ping"}) == {"type": "pong"}
    await ws.close()


async def test_what_came_before_a_violation_counts_and_what_comes_after_does_not(
    server: Server,
) -> None:
    healthy = await server.worker()
    await healthy.send('{"type":"registerfunction","id":"a::b"}')
    assert await ask(healthy, {"type": "ping"}) == {"type": "pong"}

    def call(name: str) -> bytes:
        message = {"type": "invokefunction", "function_id": "a::b", "data": name}
        return frame(1, json.dumps({**message, "action": {"type": "void"}}).encode())

    reader, writer = await upgraded(server)
    writer.write(call("before") + frame(3, b"x") + call("after"))
    received = await reader.read()
    assert received[received.index(b"\x88") + 2 :][:2] == (1002).to_bytes(2, "big")
    writer.close()
    await writer.wait_closed()
    assert json.loads(await healthy.recv())["data"] == "before"
    assert await ask(healthy, {"type": "ping"}) == {"type": "pong"}
    await healthy.close()


async def test_disconnect_forgets_the_session(server: Server) -> None:
    ws = await server.worker()
    (session,) = server.engine.sessions.values()
    assert session.ip == "127.0.0.1"
    await ws.close(1000)
    await until(lambda: not server.engine.sessions)
    assert ws.close_code == 1000


async def test_large_answers_arrive_whole(server: Server) -> None:
    ws = await server.worker()
    await ws.send(json.dumps({"type": "registerfunction", "id": "a::b"}))
    for size in (300_000, 17 * 1024 * 1024):
        await ws.send(
            ['{"type":"invokefunction","invocation_id":"i","function_id":"a::b","data":"']
            + ["x" * 1_000_000 for _ in range(size // 1_000_000)]
            + ['"}']
        )
        invocation = json.loads(await ws.recv())
        assert invocation["data"] == "x" * (size // 1_000_000 * 1_000_000)
    await ws.close()


async def test_silent_workers_are_closed() -> None:
    server = Server(worker_silence_ms=2 * SWEEP_SECONDS * 1000)
    await server.open()
    ws = await server.worker()
    (peer,) = server.listener.sockets
    peer.sweep(ping=True)
    await (await ws.ping())  # any frame counts as a sign of life
    peer.sweep(ping=False)
    peer.sweep(ping=False)
    assert await closed(ws) == 1008
    await server.listener.close()


async def test_wire_case_11_the_kernel_notices_a_vanished_host(server: Server) -> None:
    """Within a minute of the first byte that nobody acknowledges, at the latest that of a ping."""
    async with await server.worker():
        (peer,) = server.listener.sockets
        assert peer.transport is not None
        sock = peer.transport.underlying_transport.get_extra_info("socket")
        timeout = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert timeout / 1000 + PING_SECONDS + SWEEP_SECONDS <= 90
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_wire_case_33_an_unknown_function_at_once(server: Server) -> None:
    call = {"type": "invokefunction", "invocation_id": "i", "function_id": "no::such"}
    async with await server.worker() as ws:
        took = []
        for _ in range(5):
            began = time.monotonic()
            assert (await ask(ws, call))["error"]["code"] == "function_not_found"
            took.append(time.monotonic() - began)
    assert min(took) < 0.1


async def test_wire_case_45_a_worker_that_stops_reading_is_closed(server: Server) -> None:
    reading = await server.worker(max_queue=None)
    slow = socket.create_connection(("127.0.0.1", server.port))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sendall(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        + frame(1, b'{"type":"registerfunction","id":"slow::f"}')
    )
    await until(lambda: "slow::f" in server.engine.registry)
    data = "x" * 1_000_000
    call = {"type": "invokefunction", "invocation_id": "i", "function_id": "slow::f", "data": data}
    for _ in range(80):
        await reading.send(json.dumps(call))
    answer = json.loads(await reading.recv())
    assert answer["error"]["code"] == "worker_overloaded"
    (peer,) = [p for p in server.listener.sockets if p.session and p.session.functions]
    for _ in range(STALL_SECONDS // SWEEP_SECONDS + 2):
        peer.sweep(ping=False)
    await until(lambda: "slow::f" not in server.engine.registry)
    slow.close()
    codes = set()
    while "invocation_stopped" not in codes:
        codes.add(json.loads(await reading.recv()).get("error", {}).get("code"))
    await reading.close()


async def test_what_is_much_leaves_in_the_midst_of_a_tick(server: Server) -> None:
    """The worker reads while the rest is made; what it is sent keeps its order."""
    worker = await server.worker(max_queue=None)
    await ask(worker, {"type": "ping"})
    (peer,) = server.listener.sockets
    session = peer.session
    assert session is not None
    messages = [str(number) * 50_000 for number in range(10)]
    for message in messages:
        session.send(message.encode())
        assert session.outbox_bytes <= SLOW_BYTES
    assert [await worker.recv() for _ in messages] == messages


async def test_a_call_that_cannot_be_written_is_answered_and_so_are_others(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a callee goes: nobody knows how much of the call it has got."""

    def write(messages: list[bytes], transport: Writer) -> None:
        if any(b"unwritable" in message for message in messages):
            raise MemoryError
        write_messages(messages, transport)

    monkeypatch.setattr(websocket, "write_messages", write)
    callee, other, caller = [await server.worker() for _ in range(3)]
    for worker, name in ((callee, "f"), (other, "g")):
        await worker.send(json.dumps({"type": "registerfunction", "id": name}))
        await ask(worker, {"type": "ping"})
    call = {"type": "invokefunction", "invocation_id": "1"}
    batch = [
        {**call, "function_id": "f", "data": "unwritable"},
        {**call, "function_id": "g", "action": {"type": "void"}},
    ]
    for message in batch:
        await caller.send(json.dumps(message))
    answer = json.loads(await asyncio.wait_for(caller.recv(), 10))
    assert answer["error"]["code"] == "invocation_stopped"
    assert json.loads(await other.recv())["function_id"] == "g"
    assert await closed(callee) == 1006
