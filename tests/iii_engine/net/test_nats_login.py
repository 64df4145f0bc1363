"""A refused login: what the server says of it is read, however fast it closes."""

from __future__ import annotations

import asyncio

import pytest

from iii_engine.net.nats_client import NatsConnection
from iii_engine.storage.base import StoreError

INFO = b'INFO {"server_id":"x","version":"2.9.10","max_payload":1048576,"auth_required":true}\r\n'


async def test_the_login_and_the_ping_behind_it_are_one_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a server has not read when it closes makes a reset, which can overtake its reason."""
    written: list[bytes] = []
    write = asyncio.StreamWriter.write

    def record(writer: asyncio.StreamWriter, data: bytes) -> None:
        written.append(data)
        write(writer, data)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(INFO)
        await reader.readline()
        writer.write(b"-ERR 'Authorization Violation'\r\n")
        writer.close()

    monkeypatch.setattr(asyncio.StreamWriter, "write", record)
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(StoreError, match="refuses the login"):
            await NatsConnection(f"nats://me:s3cret@127.0.0.1:{port}").open()
    logins = [data for data in written if data.startswith(b"CONNECT {")]
    assert logins
    assert [data for data in logins if not data.endswith(b"\r\nPING\r\n")] == []
