"""Addresses of engines, and what errors say of those with a login."""

from __future__ import annotations

import asyncio
import traceback

import pytest
from tests.support.servers import free_port

from iii_sdk.address import Address
from iii_sdk.client import connect
from iii_sdk.errors import Unavailable
from iii_sdk.transport import Transport
from iii_sdk.websocket import WebSocketEndpoint

#: Each has the password `pa55word`, or a part of it.
REFUSED = [
    "http://me:pa55word@host:1",
    "ws://me:pa55word@",
    "ws://me:pa55word@host:port",
    "ws://me:pa55word@[host",
    "ws://me:pa55[word@host",
    "ws://me:pa55/word@host",
    "ws://me:pa55word@h\u2100st",
    "me:pa55word",
]


class Nobody:
    """Whoever reads a socket, and does nothing."""

    def opened(self, transport: Transport) -> None: ...
    def received(self, data: bytes, is_text: bool) -> None: ...
    def flow(self, open: bool) -> None: ...
    def closed(self, code: int, reason: str) -> None: ...


@pytest.mark.parametrize("url", REFUSED)
def test_a_refused_address_is_told_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="is not a ws:// or wss:// URL") as refused:
        Address(url)
    assert "pa55" not in "".join(traceback.format_exception(refused.value))


async def test_an_engine_that_cannot_be_reached_is_told_without_the_password() -> None:
    url = f"ws://me:pa55word@127.0.0.1:{free_port()}/?token=pa55word"
    with pytest.raises(Unavailable, match=r"ws://me:\*\*\*@127.0.0.1") as refused:
        async with connect(url, timeout=0.1):
            pass
    assert "pa55" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("login", ["me:pa55word", "pa55word", "me:pa55\u20acword"])
async def test_a_refused_connection_is_told_without_the_password(login: str) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        endpoint = WebSocketEndpoint(Address(f"ws://{login}@127.0.0.1:{port}/?token=pa55word"))
        with pytest.raises(OSError, match=r"127\.0\.0\.1") as refused:
            await endpoint.connect(Nobody())
    assert "pa55" not in "".join(traceback.format_exception(refused.value))
