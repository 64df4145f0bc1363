"""Ten megabytes through a channel, in every direction between published clients and ours."""

from __future__ import annotations

import asyncio
import hashlib
import json
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import Struct
from tests.support.clients import Start
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker
from tests.support.served import served
from tests.support.waiting import until

from iii_engine.core.channel import Channel
from iii_sdk import Bus, Worker, bind
from iii_sdk.protocol import ChannelRef

SIZE = 10_000_000
OURS = "ours"
KINDS = ("py-0.11.6", "js-0.11.6", OURS)
#: What the file of a transfer looks like does not matter, but that no shift leaves it the same.
BYTES = b"".join(n.to_bytes(4, "big") for n in range(SIZE // 4))
DIGEST = hashlib.sha256(BYTES).hexdigest()


class Pour(Struct):
    writer: ChannelRef
    size: int


class Drink(Struct):
    reader: ChannelRef


class Request(Struct):
    """Of the payload of an HTTP trigger what these tests need."""

    request_body: ChannelRef
    response: ChannelRef


def our_worker() -> Worker:
    """What the programs of the published clients do, with our SDK."""
    worker = Worker(OURS)

    @worker.function(f"{OURS}::pour")
    async def pour(request: Pour, bus: Bus) -> str:
        writer = await bus.open_writer(request.writer)
        data = (BYTES * -(-request.size // SIZE))[: request.size]
        await writer.send_bytes(data)
        await writer.close()
        return hashlib.sha256(data).hexdigest()

    @worker.function(f"{OURS}::drink")
    async def drink(request: Drink, bus: Bus) -> dict[str, Any]:
        reader = await bus.open_reader(request.reader)
        return measured([piece async for piece in reader if isinstance(piece, bytes)])

    @worker.function(
        f"{OURS}::upload", bind("http", {"api_path": f"{OURS}/upload", "http_method": "POST"})
    )
    async def upload(request: Request, bus: Bus) -> dict[str, Any]:
        return {"body": await drink(Drink(request.request_body), bus)}

    @worker.function(f"{OURS}::download", bind("http", {"api_path": f"{OURS}/download"}))
    async def download(request: Request, bus: Bus) -> None:
        await pour(Pour(request.response, SIZE), bus)

    return worker


def measured(pieces: list[bytes]) -> dict[str, Any]:
    whole = b"".join(pieces)
    return {"size": len(whole), "sha256": hashlib.sha256(whole).hexdigest()}


@asynccontextmanager
async def running(engine: RunningEngine, start: Start, *kinds: str) -> AsyncIterator[RawWorker]:
    """These clients, and somebody who tells them what to do."""
    for kind in sorted(set(kinds) - {OURS}):
        await start(kind)
    async with served(engine, our_worker()), RawWorker(engine.url) as caller:
        yield caller


async def make_channel(engine: RunningEngine, caller: RawWorker) -> tuple[dict[str, Any], Channel]:
    """A new channel: its references, and how the engine sees it."""
    refs = await caller.call("engine::channels::create")
    channel = engine.core.channels._entries[refs["writer"]["channel_id"]]
    assert isinstance(channel, Channel)
    return refs, channel


@pytest.mark.promise(
    "Channels",
    "Bytes arrive as they were written, between our clients and published ones in every direction.",
)
@pytest.mark.parametrize("reading", KINDS)
@pytest.mark.parametrize("writing", KINDS)
async def test_wire_case_70_ten_megabytes_arrive_whole(
    engine: RunningEngine, start: Start, writing: str, reading: str
) -> None:
    async with running(engine, start, writing, reading) as caller:
        refs, _ = await make_channel(engine, caller)
        poured, drunk = await asyncio.gather(
            caller.call(f"{writing}::pour", {"writer": refs["writer"], "size": SIZE}),
            caller.call(f"{reading}::drink", {"reader": refs["reader"]}),
        )
    assert drunk == {"size": SIZE, "sha256": poured}


@pytest.mark.promise(
    "Channels",
    "What nobody reads keeps its writer waiting; the engine holds the channel's buffer, no more.",
)
@pytest.mark.parametrize("writing", KINDS)
async def test_wire_case_68_a_writer_waits_for_its_reader(
    engine: RunningEngine, start: Start, writing: str
) -> None:
    """While nobody reads, the engine holds the frames of the channel's buffer and no more.

    Thrice the size: the buffers of the system hold some megabytes too.
    """
    size = 3 * SIZE
    async with running(engine, start, writing) as caller:
        refs, channel = await make_channel(engine, caller)
        poured = asyncio.ensure_future(
            caller.call(f"{writing}::pour", {"writer": refs["writer"], "size": size})
        )
        await until(lambda: channel.full, "the buffer is full")
        await caller.settle()
        assert channel._bytes <= 8_000_000  # 64 frames, and what was read with the last of them
        assert not poured.done()
        drunk = await caller.call(f"{OURS}::drink", {"reader": refs["reader"]})
        assert drunk == {"size": size, "sha256": await poured}


async def test_a_reader_that_takes_nothing_makes_the_writer_wait(
    engine: RunningEngine, start: Start
) -> None:
    """Our reader keeps a bounded part; the rest stays with whoever writes it."""
    async with served(engine, our_worker()) as bus, RawWorker(engine.url) as caller:
        refs, channel = await make_channel(engine, caller)
        poured = asyncio.ensure_future(
            caller.call(f"{OURS}::pour", {"writer": refs["writer"], "size": 3 * SIZE})
        )
        reader = await bus.open_reader(ChannelRef(**refs["reader"]))
        first = await anext(reader)
        await until(lambda: channel.full, "the buffer is full")
        assert reader._bytes < 3_000_000
        assert not poured.done()
        rest = [piece async for piece in reader]
        assert b"".join([first, *rest]) == 3 * BYTES  # type: ignore[list-item]
        assert await poured == hashlib.sha256(3 * BYTES).hexdigest()


@pytest.mark.parametrize("kind", KINDS)
async def test_ten_megabytes_through_http_bodies(
    engine: RunningEngine, start: Start, kind: str
) -> None:
    async with running(engine, start, kind):
        headers = {"content-type": "application/octet-stream"}
        url = f"{engine.http_url}/{kind}"
        status, _, body = await asyncio.to_thread(exchange, f"{url}/upload", BYTES, headers)
        assert status == 200
        assert json.loads(body) == {"size": SIZE, "sha256": DIGEST}
        status, found, body = await asyncio.to_thread(exchange, f"{url}/download?size={SIZE}")
        assert status == 200
        assert len(body) == SIZE
        sent = found.get("x-sha256", DIGEST)
        assert hashlib.sha256(body).hexdigest() == sent


def exchange(
    url: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a GET, or of a POST."""
    request = urllib.request.Request(url, body, headers or {})
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.status, dict(response.headers.items()), response.read()
