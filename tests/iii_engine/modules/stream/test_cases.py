"""Conformance cases 76 to 85 of engine-modules, over real sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker
from tests.support.stream_client import StreamClient, upgrade

from iii_engine.modules import pieces

CHAT = {"stream_name": "chat", "group_id": "g"}
ITEM = {**CHAT, "item_id": "1"}


async def put(worker: RawWorker, data: object, item: str = "1", group: str = "g") -> Any:
    where = {"stream_name": "chat", "group_id": group, "item_id": item}
    return await worker.call("stream::set", {**where, "data": data})


async def test_modules_case_76_items_are_set_and_listed(worker: RawWorker) -> None:
    assert await put(worker, {"n": 1}) == {"old_value": None, "new_value": {"n": 1}}
    assert await put(worker, {"n": 2}) == {"old_value": {"n": 1}, "new_value": {"n": 2}}
    assert await worker.call("stream::get", ITEM) == {"n": 2}
    assert await worker.call("stream::list", CHAT) == [{"n": 2}]
    assert await worker.call("stream::list_groups", {"stream_name": "chat"}) == ["g"]
    listed = await worker.call("stream::list_all", {})
    assert listed == {"stream": [{"id": "chat", "groups": ["g"]}], "count": 1}


async def test_modules_case_77_a_group_is_synced_and_told_of_changes(
    worker: RawWorker, client: StreamClient
) -> None:
    await put(worker, "first")
    sync = await client.join("chat", "g")
    assert sync.pop("timestamp") > 1_700_000_000_000
    assert sync == {
        "type": "stream",
        "streamName": "chat",
        "groupId": "g",
        "id": None,
        "event": {"type": "sync", "data": ["first"]},
    }
    await put(worker, {"n": 1}, "2")
    created = await client.next()
    assert (created["id"], created["event"]) == ("2", {"type": "create", "data": {"n": 1}})
    await put(worker, {"n": 2}, "2")
    assert await client.event() == {"type": "update", "data": {"n": 2}}
    gone = await worker.call("stream::delete", {**CHAT, "item_id": "2"})
    assert gone == {"old_value": {"n": 2}}
    assert await client.event() == {"type": "delete", "data": {"n": 2}}
    assert await worker.call("stream::delete", {**CHAT, "item_id": "2"}) == {"old_value": None}
    await put(worker, "last", "3")
    assert await client.event() == {"type": "create", "data": "last"}


async def test_modules_case_78_an_item_is_synced_and_others_are_not_delivered(
    worker: RawWorker, client: StreamClient
) -> None:
    sync = await client.join("chat", "g", "1")
    assert (sync["id"], sync["event"]) == ("1", {"type": "sync", "data": None})
    await put(worker, "other", "2")
    await put(worker, "mine", "1")
    assert await client.event() == {"type": "create", "data": "mine"}
    again = await client.join("chat", "g", "1")
    assert again["event"] == {"type": "sync", "data": "mine"}


async def test_modules_case_79_what_is_sent_is_not_stored(
    worker: RawWorker, client: StreamClient
) -> None:
    await put(worker, "kept")
    await client.join("chat", "g")
    message = {**CHAT, "type": "typing", "data": {"u": 1}}
    assert await worker.call("stream::send", message) is None
    frame = await client.next()
    assert frame["id"] is None
    assert frame["event"] == {"type": "event", "event": {"type": "typing", "data": {"u": 1}}}
    await worker.call("stream::send", {**message, "id": "1"})
    assert (await client.next())["id"] == "1"
    assert await worker.call("stream::get", ITEM) == "kept"


async def test_modules_case_80_leaving_ends_it_and_closing_leaves_everything(
    engine: RunningEngine, worker: RawWorker, client: StreamClient
) -> None:
    await worker.register("left")
    await worker.register_trigger("stream:leave", "left", {"stream_name": "chat"})
    await client.join("chat", "g")
    await client.leave("chat", "g")
    told = await worker.invoked("left")
    assert told["data"] == {
        "subscription_id": "s1",
        "stream_name": "chat",
        "group_id": "g",
        "id": None,
        "context": None,
    }
    await put(worker, 1)
    await client.join("chat", "g", subscription="s2")
    await client.join("chat", "h", "7", subscription="s3")
    await client.join("other", "h", subscription="s4")
    await client.socket.close()
    left = [(await worker.invoked("left"))["data"] for _ in range(2)]
    assert {(data["subscription_id"], data["id"]) for data in left} == {("s2", None), ("s3", "7")}
    await worker.settle()
    assert not [frame for frame in worker.frames if frame["type"] == "invokefunction"]


async def test_modules_case_81_a_join_handler_refuses(
    worker: RawWorker, client: StreamClient
) -> None:
    await worker.register("join")
    await worker.register_trigger("stream:join", "join", {"stream_name": "chat"})
    joining = asyncio.create_task(client.join("chat", "g", "1"))
    asked = await worker.invoked("join")
    assert asked["data"]["stream_name"] == "chat"
    await worker.answer(asked, {"unauthorized": True})
    refused = await joining
    assert (refused["streamName"], refused["groupId"], refused["id"]) == ("chat", "g", "1")
    assert refused["event"] == {"type": "unauthorized"}
    await put(worker, 1)
    assert (await client.join("other", "g"))["event"]["type"] == "sync"


@pytest.mark.parametrize("refusal", [{"unauthorized": True}, None, "no", [], 7, {}, {"user": 1}])
async def test_modules_case_82_the_auth_function_refuses_the_upgrade(refusal: object) -> None:
    async with guarded() as (engine, worker):
        opening = asyncio.create_task(upgrade(engine.stream_url))
        await worker.answer(await worker.invoked("auth"), refusal)
        assert await opening == 401
        opening = asyncio.create_task(upgrade(engine.stream_url))
        await worker.fail(await worker.invoked("auth"), "oops", "it broke")
        assert await opening == 401


async def test_modules_case_82_join_handlers_get_the_context_of_the_auth_function() -> None:
    async with guarded() as (engine, worker):
        await worker.register("join")
        await worker.register_trigger("stream:join", "join")
        client = StreamClient(engine.stream_url + "/?k=a%20b&k=c&e=", {"X-Key": "K"})
        opening = asyncio.create_task(client.__aenter__())
        asked = await worker.invoked("auth")
        head = asked["data"]
        assert head["path"] == "/"
        assert head["query_params"] == {"k": ["a b", "c"], "e": [""]}
        assert head["headers"]["x-key"] == "K"
        assert head["addr"].startswith("127.0.0.1:")
        await worker.answer(asked, {"context": {"u": 1}})
        await opening
        joining = asyncio.create_task(client.join("chat", "g"))
        asked = await worker.invoked("join")
        assert asked["data"]["context"] == {"u": 1}
        await worker.answer(asked, None)
        assert (await joining)["event"] == {"type": "sync", "data": []}
        await client.socket.close()


class guarded:
    """An engine whose streams have the auth function `auth`, and its worker."""

    async def __aenter__(self) -> tuple[RunningEngine, RawWorker]:
        self.engine = RunningEngine({"iii-stream": {"auth_function": "auth"}})
        await self.engine.start()
        self.worker = await RawWorker(self.engine.url).__aenter__()
        await self.worker.register("auth")
        return self.engine, self.worker

    async def __aexit__(self, *exc: object) -> None:
        await self.worker.close()
        await self.engine.stop()


async def test_modules_case_83_a_trigger_is_called_for_its_group(worker: RawWorker) -> None:
    await worker.register("seen")
    await worker.register_trigger("stream", "seen", {"stream_name": "chat", "group_id": "g"})
    await put(worker, 1, group="other")
    await put(worker, 2)
    called = await worker.invoked("seen")
    assert called["data"].pop("timestamp") > 1_700_000_000_000
    assert called["data"] == {
        "type": "stream",
        "streamName": "chat",
        "groupId": "g",
        "id": "1",
        "event": {"type": "create", "data": 2},
    }


async def test_modules_case_84_a_worker_keeps_a_stream(worker: RawWorker) -> None:
    await worker.register("stream::get(chat)")
    asking = asyncio.create_task(worker.call("stream::get", ITEM))
    asked = await worker.invoked("stream::get(chat)")
    assert {name: asked["data"][name] for name in ITEM} == ITEM
    await worker.answer(asked, {"from": "me"})
    assert await asking == {"from": "me"}
    assert await worker.call("stream::get", {**ITEM, "stream_name": "other"}) is None


async def test_modules_case_85_names_with_colons_and_slashes(worker: RawWorker) -> None:
    names = [("a:b", "c:d"), ("a/b", "c"), ("a", "b/c"), ("a%2Fb", "%25"), ("", "")]
    for stream, group in names:
        where = {"stream_name": stream, "group_id": group, "item_id": ":/"}
        await worker.call("stream::set", {**where, "data": [stream, group]})
    for stream, group in names:
        where = {"stream_name": stream, "group_id": group}
        assert await worker.call("stream::list_groups", {"stream_name": stream}) == [group]
        assert await worker.call("stream::list", where) == [[stream, group]]
    listed = await worker.call("stream::list_all", {})
    assert listed["count"] == 5
    assert {row["id"]: row["groups"] for row in listed["stream"]} == {
        stream: [group] for stream, group in names
    }
    assert [row["id"] for row in listed["stream"]] == sorted(stream for stream, _ in names)


async def test_a_group_that_is_too_large_to_join_is_said_to_be_so(
    worker: RawWorker, client: StreamClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "MAX_LIST", 1000)
    for item in ("1", "2"):
        await worker.call(
            "stream::set",
            {"stream_name": "s", "group_id": "g", "item_id": item, "data": "x" * 600},
        )
    told = await client.join("s", "g", subscription="mine")
    assert told["type"] == "error"
    assert told["error"]["code"] == "payload_too_large"
    assert told["error"]["subscriptionId"] == "mine"
    assert (await client.join("s", "g", "1"))["event"]["data"] == "x" * 600
