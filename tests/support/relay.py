"""A network between clients and an engine that can lose them."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Relay:
    """Use as `async with Relay(host, port) as relay` and connect to `relay.url`."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._stranded: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in (*self._clients, *self._stranded):
            _abort(writer)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def strand(self) -> None:
        """Every client loses its connection; the engine is not told."""
        for writer in self._clients:
            _abort(writer)
        self._clients.clear()

    async def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        from_engine, engine = await asyncio.open_connection(*self._target)
        self._clients.add(client)
        for source, sink in ((reader, engine), (from_engine, client)):
            task = asyncio.create_task(self._copy(source, sink, client, engine))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _copy(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
        engine: asyncio.StreamWriter,
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if sink.transport.is_closing():
                    break
                sink.write(data)
                await sink.drain()
        if client in self._clients:
            sink.close()  # an ordinary end
        else:
            self._stranded.append(engine)  # kept open


def _abort(writer: asyncio.StreamWriter) -> None:
    if not writer.transport.is_closing():
        writer.transport.abort()
