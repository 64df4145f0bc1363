"""A thousand clients that watch a stream and never read."""

from __future__ import annotations

import socket
import subprocess
from contextlib import ExitStack

import pytest
from tests.support.engine import EngineProcess
from tests.support.raw_worker import RawWorker
from tests.support.stream_client import StreamClient
from tests.support.waiting import until

from iii_engine.core.sizes import MIB

STALLED = 1_000
EVENTS = 250
SIZE = 20_000

#: What a client may cost that does not read, in KiB: its connection, what the transport holds, and
#: a share of the messages that wait for all of them.
BOUND_KIB = 32

UPGRADE = (
    b"GET /stream/chat/g/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def stalled(port: int) -> socket.socket:
    """A client that has read its first message, and will read no other."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    peer.settimeout(10)
    peer.connect(("127.0.0.1", port))
    peer.sendall(UPGRADE)
    received = b""
    while b'"sync"' not in received:
        received += peer.recv(2048)
    return peer


def rss_kib(pid: int) -> int:
    return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(pid)]))


@pytest.mark.promise(
    "Streams",
    "A client that does not read is closed with 1013; it costs at most 32 KiB and delays nobody.",
)
async def test_clients_that_do_not_read_cost_little_and_delay_nobody(
    engine_process: EngineProcess,
) -> None:
    port = int(engine_process.stream_url.rpartition(":")[2])
    with ExitStack() as stack:
        async with (
            RawWorker(engine_process.url) as worker,
            StreamClient(engine_process.stream_url) as healthy,
        ):
            await healthy.join("chat", "g")
            before = rss_kib(engine_process.pid)
            peers = [stack.enter_context(stalled(port)) for _ in range(STALLED)]
            most = before
            for number in range(EVENTS):
                data = {"n": number, "text": "x" * SIZE}
                await worker.call("stream::send", {**GROUP, "type": "e", "data": data})
                assert (await healthy.event())["event"]["data"]["n"] == number
                if number % 10 == 0:
                    most = max(most, rss_kib(engine_process.pid))
            assert most - before <= STALLED * BOUND_KIB, f"{most - before} KiB"

            async def told() -> bool:
                return "does not keep up and is closed (512 so far)" in engine_process.output

            await until(told)
            assert closed_with(peers[0]) == 1013


GROUP = {"stream_name": "chat", "group_id": "g"}


def closed_with(peer: socket.socket) -> int:
    """Read everything; the code of the Close frame at its end."""
    tail = b""
    while data := peer.recv(MIB):
        tail = (tail + data)[-200:]
    return int.from_bytes(tail[tail.rindex(b"\x88") + 2 :][:2], "big")
