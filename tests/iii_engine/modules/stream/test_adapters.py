"""The same streams over every adapter, and engines that share them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.adapters import KINDS, adapter, call
from tests.support.desk import Desk, running
from tests.support.servers import Server
from tests.support.stream_client import Frame, StreamClient
from tests.support.waiting import until

from iii_engine.modules.stream import StreamModule
from iii_sdk.errors import BusError

NAMES = [("a:b", "c:d"), ("a/b", "c"), ("a", "b/c"), ("a%2Fb", "%25"), ("", "")]
ITEM = {"stream_name": "s", "group_id": "g", "item_id": "1"}


@pytest.fixture(params=KINDS)
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    options = {"port": 0, "adapter": adapter(request.param, request)}
    async with running(StreamModule, options, trigger_type="stream") as desk:
        yield desk


@pytest.fixture(params=KINDS[1:])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Desk, Desk, Server]]:
    """Two engines at one server."""
    options = {"port": 0, "adapter": adapter(request.param, request)}
    async with (
        running(StreamModule, options, trigger_type="stream") as one,
        running(StreamModule, options, trigger_type="stream") as other,
    ):
        yield one, other, request.getfixturevalue(f"{request.param}_server")


def client(desk: Desk) -> StreamClient:
    assert desk.module.address is not None
    return StreamClient("ws://{}:{}".format(*desk.module.address))


async def test_modules_case_76_items_are_set_and_listed(desk: Desk) -> None:
    written = await call(desk, "stream::set", {**ITEM, "data": {"n": 1}})
    assert written == {"old_value": None, "new_value": {"n": 1}}
    ops = [{"type": "increment", "path": "n", "by": 2}, {"type": "append", "path": "n", "value": 1}]
    updated = await call(desk, "stream::update", {**ITEM, "ops": ops})
    assert (updated["old_value"], updated["new_value"]) == ({"n": 1}, {"n": 3})
    assert [error["code"] for error in updated["errors"]] == ["append.type_mismatch"]
    await call(desk, "stream::set", {**ITEM, "item_id": "0", "data": []})
    assert await call(desk, "stream::list", ITEM) == [{"n": 3}, []]
    assert await call(desk, "stream::get", ITEM) == {"n": 3}
    assert await call(desk, "stream::delete", ITEM) == {"old_value": {"n": 3}}
    assert await call(desk, "stream::delete", ITEM) == {"old_value": None}
    assert await call(desk, "stream::list", ITEM) == [[]]


async def test_modules_case_77_a_group_is_synced_and_told_of_changes(desk: Desk) -> None:
    async with client(desk) as watching:
        assert (await watching.join("s", "g"))["event"] == {"type": "sync", "data": []}
        await call(desk, "stream::set", {**ITEM, "data": 1})
        assert await watching.event() == {"type": "create", "data": 1}
        again = await watching.join("s", "g", "1")
        assert again["event"] == {"type": "sync", "data": 1}
        await call(desk, "stream::set", {**ITEM, "data": 2})
        await call(desk, "stream::send", {**ITEM, "id": "1", "type": "typing", "data": 3})
        await call(desk, "stream::delete", ITEM)
        assert await watching.event() == {"type": "update", "data": 2}
        assert (await watching.event())["event"] == {"type": "typing", "data": 3}
        assert await watching.event() == {"type": "delete", "data": 2}


async def test_modules_case_85_names_with_colons_and_slashes(desk: Desk) -> None:
    for stream, group in NAMES:
        where = {"stream_name": stream, "group_id": group, "item_id": ":/"}
        await call(desk, "stream::set", {**where, "data": [stream, group]})
    for stream, group in NAMES:
        assert await call(desk, "stream::list_groups", {"stream_name": stream}) == [group]
        where = {"stream_name": stream, "group_id": group}
        assert await call(desk, "stream::list", where) == [[stream, group]]
    listed = await call(desk, "stream::list_all", {})
    assert [(row["id"], row["groups"]) for row in listed["stream"]] == [
        (stream, [group]) for stream, group in sorted(NAMES)
    ]


@pytest.mark.promise(
    "Streams", "Engines at one Redis or NATS share items, and every client hears each event once."
)
async def test_engines_share_items_and_events(pair: tuple[Desk, Desk, Server]) -> None:
    one, other, _ = pair
    for desk in (one, other):
        desk.handler("seen")
        desk.bind("t", "seen")
    async with client(one) as near, client(other) as far:
        await near.join("s", "g")
        await far.join("s", "g")
        for desk, n in ((one, 1), (other, 2)):
            await call(desk, "stream::set", {**ITEM, "data": n})
            for watching in (near, far):
                assert (await watching.event())["data"] == n
        await call(one, "stream::send", {**ITEM, "type": "typing", "data": 3})
        for watching in (near, far):
            assert (await watching.event())["type"] == "event"
    assert await call(one, "stream::get", ITEM) == 2
    for desk in (one, other):
        await until(lambda desk=desk: len(desk.payloads("seen")) == 2)
        assert [seen["event"]["type"] for seen in desk.payloads("seen")] == ["create", "update"]


async def test_concurrent_updates_of_two_engines_all_count(
    pair: tuple[Desk, Desk, Server],
) -> None:
    ops = [{"type": "increment", "path": "n", "by": 1}]
    calls = [call(desk, "stream::update", {**ITEM, "ops": ops}) for desk in pair[:2] * 10]
    await asyncio.gather(*calls)
    assert await call(pair[0], "stream::get", ITEM) == {"n": 20}


async def test_a_lost_server_is_named_and_comes_back(pair: tuple[Desk, Desk, Server]) -> None:
    one, other, server = pair
    async with client(other) as far:
        await far.join("s", "g")
        await call(one, "stream::set", {**ITEM, "data": 1})
        assert (await far.event())["data"] == 1
        await asyncio.to_thread(server.kill)
        with pytest.raises(BusError) as lost:
            await call(one, "stream::set", {**ITEM, "data": 2})
        assert lost.value.code == "STREAM_SET_ERROR"
        assert one.module.status() in lost.value.message  # for the health check
        await asyncio.to_thread(server.restart)

        async def works() -> bool:
            try:
                await call(one, "stream::set", {**ITEM, "data": 3})
            except BusError:
                return False
            return True

        await until(works)
        await until(lambda: one.module.status() == "running")
        # What was missed meanwhile does not matter: the values come anew.
        types, known = set(), None
        while "sync" not in types or known not in (3, [3]):
            event = await meanwhile(other, far)
            types.add(event["type"])
            known = event["data"]


async def meanwhile(desk: Desk, watching: StreamClient) -> Frame:
    """The next event, while time passes: the server may not be back when it is asked first."""
    coming = asyncio.create_task(watching.event())

    def come() -> bool:
        desk.advance(0.1)
        return coming.done()

    await until(come)
    return await coming


async def test_the_status_says_that_events_do_not_come(pair: tuple[Desk, Desk, Server]) -> None:
    one, _, _ = pair
    assert one.module.status() == "running"
    one.module.shared._broadcast._deaf = "nothing is heard"
    assert one.module.status() == "nothing is heard"
