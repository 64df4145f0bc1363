"""A running HTTP module in front of an engine whose functions are in this process."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import msgspec
import pytest

from iii_engine.core.clock import SeededIds, SystemClock
from iii_engine.core.engine import Engine
from iii_engine.core.router import Call
from iii_engine.core.triggers import Trigger
from iii_engine.modules.base import Host
from iii_engine.modules.http import HttpModule
from iii_engine.modules.http.options import HttpOptions
from iii_engine.ticker import Ticker
from iii_sdk.protocol import NULL


@dataclass
class Site:
    """The module under test, with short ways to make functions and routes."""

    engine: Engine
    module: HttpModule
    client: httpx2.AsyncClient
    seen: dict[str, list[Any]] = field(default_factory=dict)
    sockets: list[asyncio.StreamWriter] = field(default_factory=list)
    _count: Any = field(default_factory=lambda: itertools.count(1))

    @property
    def port(self) -> int:
        return self.module.port

    def function(
        self, name: str, result: Any = None, *, error: tuple[str, str] | None = None
    ) -> None:
        """A function that notes its payloads and answers `result`, or fails with `error`."""
        payloads = self.seen.setdefault(name, [])

        def handler(call: Call) -> None:
            payloads.append(msgspec.json.decode(call.data))
            if error is not None:
                call.fail(*error)
            else:
                call.reply(
                    msgspec.json.encode(result(payloads[-1]) if callable(result) else result)
                )

        self.engine.add_function(name, handler, module="test")

    def slow(self, name: str) -> asyncio.Queue[Call]:
        """A function whose calls the test answers itself."""
        calls: asyncio.Queue[Call] = asyncio.Queue()
        self.engine.add_function(name, calls.put_nowait, module="test")
        return calls

    def route(self, path: str | None, function: str, method: str = "GET", **config: Any) -> str:
        """Bind a trigger; returns its id."""
        trigger_id = f"t{next(self._count)}"
        body = {"api_path": path, "http_method": method, **config}
        refused = self.engine.triggers.add(
            Trigger(
                trigger_id, "http", function, msgspec.Raw(msgspec.json.encode(body)), NULL, None
            )
        )
        if refused is not None:
            raise AssertionError(refused.message)
        return trigger_id

    async def connect(self, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A socket on which these bytes were sent; it is closed at the end of the test."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        self.sockets.append(writer)
        writer.write(data)
        return reader, writer

    async def raw(self, data: bytes) -> bytes:
        """Send bytes on a socket of its own; all that comes back until the server closes."""
        reader, _ = await self.connect(data)
        return await asyncio.wait_for(reader.read(), 5)


MakeSite = Callable[..., Awaitable[Site]]


@pytest.fixture
async def make_site() -> AsyncIterator[MakeSite]:
    """Makes sites; keyword arguments are options of the module in the form of the config file."""
    started: list[tuple[Site, Ticker]] = []

    async def make(**options: Any) -> Site:
        loop = asyncio.get_running_loop()
        engine = Engine(SystemClock(), SeededIds(1))
        parsed = msgspec.convert({"port": 0, **options}, HttpOptions)
        module = HttpModule("iii-http", parsed, Host(engine, None, loop))  # type: ignore[arg-type]
        await module.start()
        client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{module.port}", timeout=5)
        site = Site(engine, module, client)
        started.append((site, Ticker(engine, loop)))
        return site

    yield make
    for site, ticker in started:
        await site.client.aclose()
        for writer in site.sockets:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        await site.module.stop()
        ticker.stop()


@pytest.fixture
async def site(make_site: MakeSite) -> Site:
    return await make_site()
