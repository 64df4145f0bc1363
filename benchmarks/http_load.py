"""A small load generator for machines without wrk: keep-alive connections, one request each.

`python -m benchmarks.http_load ADDRESS CONNECTIONS SECONDS` prints requests per second.
"""

from __future__ import annotations

import asyncio
import sys
import time
import urllib.parse
from typing import cast

import httptools

from benchmarks import loops


class Load:
    def __init__(self, request: bytes) -> None:
        self.request = request
        self.answered = 0
        self.running = True


class Connection(asyncio.Protocol):
    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by descent
        self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() != 200:
            raise ValueError(f"answered {self._parser.get_status_code()}")
        self._load.answered += 1
        if self._load.running and self._transport is not None:
            self._parser = httptools.HttpResponseParser(self)
            self._transport.write(self._load.request)


async def main(address: str, connections: int, seconds: float) -> float:
    url = urllib.parse.urlsplit(address)
    load = Load(b"GET %b HTTP/1.1\r\nhost: %b\r\n\r\n" % (url.path.encode(), url.netloc.encode()))
    host, _, port = url.netloc.partition(":")
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(load), host, int(port))
    before, began = load.answered, time.perf_counter()
    await asyncio.sleep(seconds)
    rate = (load.answered - before) / (time.perf_counter() - began)
    load.running = False
    return rate


if __name__ == "__main__":
    print(loops.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
