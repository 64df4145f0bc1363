"""How the handshake may end, and what the client does then."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from iii_sdk import ChannelReader, ChannelRef, Unavailable
from iii_sdk.address import Address
from iii_sdk.connection import Connection
from iii_sdk.metadata import worker_metadata
from iii_sdk.websocket import WebSocketEndpoint

Ending = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def eof(writer: asyncio.StreamWriter) -> None:
    pass


async def reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def half(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 101 Switching Proto")
    await writer.drain()


class Peer:
    """Takes connections and ends each of them in the same way during the handshake."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.url = ""

    @asynccontextmanager
    async def ending(self, end: Ending) -> AsyncIterator[Peer]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            await end(writer)
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield self


def redirect_to(url: str) -> Ending:
    async def end(writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 302 Found\r\nLocation: {url}/\r\nContent-Length: 0\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()

    return end


@pytest.mark.parametrize("end", [eof, reset, half])
async def test_a_worker_tries_again_when_its_peer_leaves_amid_the_handshake(end, wait_until):
    async with Peer().ending(end) as peer:
        connection = Connection(WebSocketEndpoint(Address(peer.url)), worker_metadata("w"))
        running = asyncio.create_task(connection.run())
        await wait_until(lambda: len(peer.heads) >= 3)
        await connection.close()
        await asyncio.wait_for(running, 5)


@pytest.mark.parametrize("end", [eof, reset, half])
async def test_a_channel_is_refused_when_its_peer_leaves_amid_the_handshake(end):
    async with Peer().ending(end) as peer:
        endpoint = WebSocketEndpoint(Address(peer.url))
        reader = ChannelReader(endpoint, ChannelRef("c", "k", "read"))
        async with asyncio.timeout(5):
            with pytest.raises(Unavailable) as raised:
                await reader.open()
        assert raised.value.code == "channel_unavailable"


async def test_a_redirect_is_not_followed_so_nobody_else_gets_the_token():
    elsewhere = Peer()
    async with elsewhere.ending(eof), Peer().ending(redirect_to(elsewhere.url)) as peer:
        endpoint = WebSocketEndpoint(Address(peer.url, {"Authorization": "Bearer secret"}))
        connection = Connection(endpoint, worker_metadata("w"))
        with pytest.raises(ConnectionError, match="HTTP 302 leads elsewhere"):
            await endpoint.connect(connection)
        assert b"Bearer secret" in peer.heads[0]
        assert elsewhere.heads == []
