"""Peers that may do anything: blocking sockets that know just enough WebSocket to misbehave."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

import uvloop
from tests.support.engine import RunningEngine
from tests.support.waiting import PATIENCE

T = TypeVar("T")

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """A masked client frame; the mask is zero."""
    first, size = bytes(((0x80 if fin else 0) | rsv << 4 | opcode,)), len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 65536:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return first + length + bytes(4) + payload


class Peer:
    """One TCP connection to the worker listener; its kernel holds `unread` bytes for it."""

    def __init__(self, port: int, *, upgrade: bool = True, unread: int | None = None) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE)
        if unread is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, unread)
        self.socket.connect(("127.0.0.1", port))
        self._received = b""
        if upgrade:
            self.send(UPGRADE)
            assert b" 101 " in self.header()
            assert self.message()["type"] == "workerregistered"

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send; an engine that closed meanwhile is no error."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def tell(self, message: object) -> None:
        """Send a message as it should be sent."""
        text = message if isinstance(message, str) else json.dumps(message)
        self.send(frame(1, text.encode("utf-8", "surrogatepass")))

    def finish(self) -> None:
        """Nothing more is sent."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:  # already closed by the engine
            pass

    def header(self) -> bytes:
        """The engine's answer to the upgrade; empty when it closed instead."""
        while b"\r\n\r\n" not in self._received:
            if not self._more():
                return b""
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        return head

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Opcode and payload of what arrives until the connection ends."""
        while (found := self._frame()) is not None:
            yield found

    def message(self) -> Any:
        """The next message; `None` when the connection ended."""
        return next((json.loads(data) for opcode, data in self.frames() if opcode == 1), None)

    def close_code(self) -> int | None:
        """Read to the end; the code of the engine's Close frame."""
        for opcode, data in self.frames():
            if opcode == 8:
                return int.from_bytes(data[:2], "big")
        return None

    def _frame(self) -> tuple[int, bytes] | None:
        start, size = 2, 0
        while True:
            data = self._received
            if len(data) >= 2:
                size = data[1]
                start = {126: 4, 127: 10}.get(size, 2)
                if start > 2:
                    size = int.from_bytes(data[2:start], "big")
                if len(data) >= start + size:
                    self._received = data[start + size :]
                    return data[0] & 15, data[start : start + size]
            if not self._more():
                return None

    def _more(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self._received += data
        return bool(data)


class Pair:
    """Two well-behaved workers; `works` says whether a call still gets from one to the other."""

    def __init__(self, port: int) -> None:
        self.provider, self.caller = Peer(port), Peer(port)
        self.provider.tell({"type": "registerfunction", "id": "healthy::echo"})
        self.provider.tell({"type": "ping"})
        assert self.provider.message() == {"type": "pong"}
        self._calls = 0

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def works(self) -> bool:
        self._calls += 1
        wanted = str(self._calls)
        call = {"type": "invokefunction", "function_id": "healthy::echo", "data": wanted}
        self.caller.tell({**call, "invocation_id": wanted})
        invocation = self.provider.message()
        answer = {"type": "invocationresult", "invocation_id": invocation["invocation_id"]}
        answer |= {"function_id": "healthy::echo", "result": invocation["data"]}
        self.provider.tell(answer)
        result = self.caller.message()
        return bool(result["result"] == wanted and result["invocation_id"] == wanted)

    def close(self) -> None:
        self.provider.socket.close()
        self.caller.socket.close()


class Complaints(logging.Handler):
    """What was logged as an error of ours, with a traceback, or by the event loop."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        refused = record.name.startswith("iii.picows") and record.exc_info is None
        if record.exc_info is not None or (record.levelno >= logging.ERROR and not refused):
            self.found.append(self.format(record))


class ThreadedEngine:
    """A real engine in a thread of its own, for tests that block."""

    def __init__(self, options: dict[str, dict[str, Any]] | None = None) -> None:
        self.engine = RunningEngine(options)
        self.port = 0
        self.complaints = Complaints()
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._run()))

    def run(self, work: Callable[[], T]) -> T:
        """Do something in the thread of the engine."""
        done: Future[T] = Future()
        self._loop.call_soon_threadsafe(lambda: done.set_result(work()))
        return done.result(PATIENCE)

    async def _run(self) -> None:
        self._stop, self._loop = asyncio.Event(), asyncio.get_running_loop()
        await self.engine.start()
        self.port = self.engine.app.address[1]
        self._started.set()
        await self._stop.wait()
        await self.engine.stop()

    @contextmanager
    def running(self) -> Iterator[ThreadedEngine]:
        logging.getLogger().addHandler(self.complaints)
        self._thread.start()
        assert self._started.wait(PATIENCE)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(PATIENCE)
            logging.getLogger().removeHandler(self.complaints)
        assert not self.complaints.found, "\n".join(self.complaints.found)
