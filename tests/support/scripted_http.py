"""A small real HTTP server whose answers a test writes down beforehand."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Recorded:
    """A request as it arrived. Header names are lower-case; `body` is parsed JSON or None."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Scripted:
    """One answer: a status with a body, or chunks of a stream.

    `chunks` are written one by one; `hang` never answers (with `chunks`: after the last one);
    `cut` closes the connection instead of ending the answer.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] | None = None
    hang: bool = False
    cut: bool = False
    #: Nothing is sent before this is set.
    after: asyncio.Event | None = None


class ScriptedServer:
    """Answers each request with the next of `script`, or with what `default` makes of it."""

    def __init__(self, default: Callable[[Recorded], Scripted]) -> None:
        self.requests: list[Recorded] = []
        #: Connections with a client at their other end.
        self.open = 0
        self.script: deque[Scripted | Callable[[Recorded], Scripted]] = deque()
        self.default = default
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def stop(self) -> None:
        """Close the listener and every connection, those that hang included. Harmless twice."""
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def __aenter__(self) -> ScriptedServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:<port>`"""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def then_fail(
        self, status: int, message: str = "scripted failure", retry_after: str | None = None
    ) -> None:
        """The next request gets this status."""
        headers = {} if retry_after is None else {"retry-after": retry_after}
        body = json.dumps({"error": {"message": message, "type": "scripted"}}).encode()
        self.script.append(Scripted(status, body, headers))

    def then_hang(self) -> None:
        """The next request is never answered."""
        self.script.append(Scripted(hang=True))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                answer = self._next(request)
                if answer.after is not None:
                    await answer.after.wait()
                writing = asyncio.ensure_future(_write(writer, answer, request.method))
                if not await _unless_gone(writing, reader):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, as cancelled completions do
        finally:
            self.open -= 1
            writer.close()

    def _next(self, request: Recorded) -> Scripted:
        if request.method != "POST" or not self.script:
            return self.default(request)
        answer = self.script.popleft()
        return answer(request) if callable(answer) else answer


async def _unless_gone(writing: asyncio.Future[bool], reader: asyncio.StreamReader) -> bool:
    """The outcome of writing an answer; False at once when the client hangs up."""
    gone = asyncio.ensure_future(reader.read(1))  # a client says nothing until it has its answer
    try:
        await asyncio.wait((writing, gone), return_when=asyncio.FIRST_COMPLETED)
        return writing.done() and writing.result()
    finally:  # only one may wait for the reader at a time
        writing.cancel()
        gone.cancel()
        await asyncio.wait((writing, gone))


async def _read(reader: asyncio.StreamReader) -> Recorded | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    data = await reader.readexactly(int(headers.get("content-length", "0")))
    return Recorded(method, path, headers, json.loads(data) if data else None)


async def _write(writer: asyncio.StreamWriter, answer: Scripted, method: str) -> bool:
    """Send an answer; False when the connection is not to be used again."""
    if answer.chunks is None and not answer.hang:
        head = {"content-type": "application/json", **answer.headers}
        head["content-length"] = str(len(answer.body))
        body = b"" if method == "HEAD" else answer.body
        writer.write(_head(answer.status, head) + body)
        await writer.drain()
        return not answer.cut
    if answer.chunks is not None:
        head = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
        writer.write(_head(answer.status, head | answer.headers))
        for chunk in answer.chunks:
            writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            await writer.drain()
    if answer.hang:
        await asyncio.Event().wait()
    if not answer.cut:
        writer.write(b"0\r\n\r\n")
        await writer.drain()
    return not answer.cut


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Scripted\r\n{lines}\r\n".encode()
