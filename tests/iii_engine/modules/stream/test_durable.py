"""What was answered is on the disk, and may be one thing with changes of other modules."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec import Raw
from tests.support.engine import EngineProcess
from tests.support.raw_worker import RawWorker
from tests.support.stream_client import StreamClient

from iii_engine.modules.state.records import set_record, space_of
from iii_engine.modules.state.requests import SetRequest
from iii_engine.modules.stream import requests, spaces
from iii_engine.modules.stream.records import set_item
from iii_engine.storage.base import Transaction
from iii_engine.storage.embedded import EmbeddedStore

ITEM = {"stream_name": "a:b/c", "group_id": "g", "item_id": "1"}


@pytest.mark.promise("Streams", "An item that was answered for survives a kill -9.")
async def test_what_was_answered_survives_a_kill(engine_process: EngineProcess) -> None:
    async with RawWorker(engine_process.url) as worker:
        await worker.call("stream::set", {**ITEM, "data": {"n": 1}})
        ops = [{"type": "increment", "path": "n", "by": 1}]
        await worker.call("stream::update", {**ITEM, "ops": ops})
        await asyncio.to_thread(engine_process.kill)
    await asyncio.to_thread(engine_process.start)
    async with (
        RawWorker(engine_process.url) as worker,
        StreamClient(engine_process.stream_url) as client,
    ):
        assert await worker.call("stream::get", ITEM) == {"n": 2}
        joined = await client.join("a:b/c", "g")
        assert joined["event"] == {"type": "sync", "data": [{"n": 2}]}


class Refused(Exception):
    pass


@pytest.mark.parametrize("fails", [False, True])
async def test_an_item_may_change_together_with_a_record(tmp_path: Path, fails: bool) -> None:
    store = EmbeddedStore(tmp_path / "store.db")
    await store.open()

    def work(transaction: Transaction) -> None:
        set_record(transaction, SetRequest("s", "k", Raw(b"1")))
        made = set_item(transaction, requests.SetRequest("a/b", "g", "1", Raw(b"2")))
        assert made.answer == b'{"old_value":null,"new_value":2}'
        if fails:
            raise Refused

    ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
    store.write(work, lambda _, error: ended.set_result(error))
    assert isinstance(await ended, Refused) is fails
    record = store.read(lambda transaction: transaction.get(space_of("s"), "k"))
    item = store.read(lambda transaction: transaction.get(spaces.space_of("a/b", "g"), "1"))
    assert (record, item) == ((None, None) if fails else (b"1", b"2"))
    await store.close()
