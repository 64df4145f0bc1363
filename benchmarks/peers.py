"""Workers that connect and then do nothing: `python -m benchmarks.peers PORT COUNT`.

`ready` is printed once all of them are connected.
"""

from __future__ import annotations

import resource
import signal
import socket
import sys

from benchmarks.processes import Failed

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"User-Agent: benchmarks\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def connect(port: int) -> socket.socket:
    """A worker's connection, not yet acknowledged."""
    peer = socket.create_connection(("127.0.0.1", port))
    peer.sendall(UPGRADE)
    return peer


def await_registered(peer: socket.socket) -> None:
    received = b""
    while b"reattach_token" not in received:
        data = peer.recv(4096)
        if not data:
            raise Failed(f"the engine refused a peer: {received!r}")
        received += data


def main() -> None:
    port, count = int(sys.argv[1]), int(sys.argv[2])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    peers = [connect(port) for _ in range(count)]
    for peer in peers:
        await_registered(peer)
    print("ready", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
