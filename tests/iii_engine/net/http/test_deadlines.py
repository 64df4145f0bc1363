"""How long a client may take over HTTP."""

from __future__ import annotations

import asyncio

from tests.support.http_server import TEXT, Server, get
from tests.support.waiting import until


async def test_slow_head_gets_408(server: Server) -> None:
    reader, _ = await server.connect(b"GET /a HTTP/1.1\r\nHo")
    await until(lambda: any(c._parser.head_bytes for c in server.listener.connections))
    server.age(5)
    server.age(11)
    assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 408 ")


async def test_slow_body_gets_408(server: Server) -> None:
    reader, _ = await server.connect(get("/a", "Content-Length: 9", method="POST") + b"a")
    await until(lambda: any(c._parser.incoming for c in server.listener.connections))
    server.age(31)
    assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 408 ")


async def test_idle_connection_is_closed_quietly(server: Server) -> None:
    reader, _ = await server.connect(get("/a"))
    await asyncio.wait_for(reader.readuntil(b"GET /a "), 5)
    server.age(60)
    server.age(76)
    assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_request_under_way_has_no_deadline(server: Server) -> None:
    reader, _ = await server.connect(get("/later"))
    exchange = await asyncio.wait_for(server.app.later.get(), 5)
    server.age(100_000)
    exchange.respond(200, TEXT, b"at last")
    await asyncio.wait_for(reader.readuntil(b"at last"), 5)


async def test_client_that_does_not_read_is_cut(server: Server) -> None:
    _, _ = await server.connect(get("/later"))
    exchange = await asyncio.wait_for(server.app.later.get(), 5)
    gone, paused = asyncio.Event(), asyncio.Event()
    exchange.on_close = gone.set
    exchange.on_writable = lambda writable: paused.set()
    exchange.begin(200, TEXT)
    while not paused.is_set():
        exchange.write(b"x" * 1_000_000)
        await asyncio.sleep(0)
    server.age(31)
    await asyncio.wait_for(gone.wait(), 5)
