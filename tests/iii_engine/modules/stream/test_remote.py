"""The adapter `bridge`: several real engines with the streams of one of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import CallFailed, RawWorker
from tests.support.stream_client import StreamClient
from tests.support.waiting import until

from iii_engine.modules.stream import StreamModule
from iii_engine.modules.stream.options import StreamOptions
from iii_sdk.errors import BusError

GROUP = {"stream_name": "chat", "group_id": "room"}


class Place:
    """An engine, a worker on it, and a client that watches the group."""

    def __init__(self, engine: RunningEngine, worker: RawWorker, client: StreamClient) -> None:
        self.engine = engine
        self.worker = worker
        self.client = client
        self.sync: Any = None

    async def set(self, item: str, data: object) -> Any:
        return await self.worker.call("stream::set", {**GROUP, "item_id": item, "data": data})

    async def events(self, count: int) -> list[Any]:
        return [await self.client.event() for _ in range(count)]


Start = Callable[..., Awaitable[Place]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect again at once."""
    monkeypatch.setattr("iii_engine.modules.bridge.link.FIRST_PAUSE", 0.05)


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start an engine; with a `url` its streams are those of the engine there."""
    async with AsyncExitStack() as stack:

        async def start(url: str | None = None) -> Place:
            options: dict[str, Any] = {"port": 0}
            if url is not None:
                options["adapter"] = {"name": "bridge", "config": {"bridge_url": url}}
            engine = RunningEngine({"iii-stream": options})
            await engine.start()
            stack.push_async_callback(engine.stop)
            worker = await stack.enter_async_context(RawWorker(engine.url))
            module = engine.app.modules["iii-stream"]
            assert module.address is not None
            client = StreamClient("ws://{}:{}".format(*module.address))
            place = Place(engine, worker, await stack.enter_async_context(client))
            await until(lambda: module.status() == "running")
            place.sync = await client.join("chat", "room")
            return place

        yield start


async def test_engines_share_streams_and_each_client_hears_of_each_event_once(
    start: Start,
) -> None:
    home = await start()
    one, two = await start(home.engine.url), await start(home.engine.url)
    await one.set("a", {"n": 1})
    await two.set("a", {"n": 2})
    await home.set("b", {"n": 3})
    send = {**GROUP, "type": "typing", "data": {"u": 1}}
    await one.worker.call("stream::send", send)
    await two.worker.call("stream::delete", {**GROUP, "item_id": "a"})
    changes = [
        {"type": "create", "data": {"n": 1}},
        {"type": "update", "data": {"n": 2}},
        {"type": "create", "data": {"n": 3}},
        {"type": "delete", "data": {"n": 2}},
    ]
    typing = {"type": "event", "event": {"type": "typing", "data": {"u": 1}}}
    for place in (one, two, home):
        heard = await place.events(5)
        assert [event for event in heard if event["type"] != "event"] == changes
        assert [event for event in heard if event["type"] == "event"] == [typing]
    # Nothing is heard twice: the next thing is the next thing.
    await home.set("end", 1)
    for place in (one, two, home):
        assert await place.client.event() == {"type": "create", "data": 1}


@pytest.mark.promise(
    "Streams",
    "What is sent on any of several engines with a bridge reaches the sockets of all of them once.",
)
async def test_what_is_sent_anywhere_reaches_the_sockets_of_all_engines_once(start: Start) -> None:
    home = await start()
    one, two = await start(home.engine.url), await start(home.engine.url)
    places = (home, one, two)
    for n in range(3):
        for sender, place in enumerate(places):
            event = {**GROUP, "type": f"from {sender}", "data": n}
            await place.worker.call("stream::send", event)
    await home.set("end", 1)
    expected = [f"from {sender}" for sender in range(3)] * 3
    for place in places:
        heard = await place.events(10)
        kinds = [event["event"]["type"] for event in heard if event["type"] == "event"]
        assert sorted(kinds) == sorted(expected)
        # Nothing is heard twice: the next thing is the next thing.
    await home.set("really the end", 2)
    for place in places:
        assert await place.client.event() == {"type": "create", "data": 2}


async def test_what_is_sent_is_published_for_a_bridge_of_another_make_too(start: Start) -> None:
    home = await start()
    await home.worker.call("stream::send", {**GROUP, "type": "nobody listens"})
    await home.worker.register("topic")
    await home.worker.register_trigger("subscribe", "topic", {"topic": "stream.events"})
    await home.worker.call("stream::send", {**GROUP, "type": "typing", "data": 1})
    await home.set("a", 1)  # it tells of changes by its trigger `stream`
    await home.worker.call("stream::send", {**GROUP, "type": "end"})
    for kind, data in (("typing", 1), ("end", None)):
        message = await home.worker.invoked("topic")
        assert message["data"]["event"] == {"type": "event", "event": {"type": kind, "data": data}}
        assert (message["data"]["streamName"], message["data"]["groupId"]) == ("chat", "room")
        await home.worker.answer(message)


async def test_items_are_read_where_they_are(start: Start) -> None:
    home = await start()
    one = await start(home.engine.url)
    assert await one.set("a", 1) == {"old_value": None, "new_value": 1}
    ops = [{"type": "set", "path": "", "value": 2}]
    updated = await one.worker.call("stream::update", {**GROUP, "item_id": "a", "ops": ops})
    assert updated == {"old_value": 1, "new_value": 2}
    for place in (one, home):
        item = {**GROUP, "item_id": "a"}
        assert await place.worker.call("stream::get", item) == 2
        assert await place.worker.call("stream::list", GROUP) == [2]
        assert await place.worker.call("stream::list_groups", {"stream_name": "chat"}) == ["room"]
        listed = await place.worker.call("stream::list_all", {})
        assert listed == {"stream": [{"id": "chat", "groups": ["room"]}], "count": 1}


async def test_a_client_that_joins_gets_what_is_there(start: Start) -> None:
    home = await start()
    await home.set("a", {"n": 1})
    one = await start(home.engine.url)
    assert one.sync["event"] == {"type": "sync", "data": [{"n": 1}]}
    item = await one.client.join("chat", "room", "a", subscription="s2")
    assert item["event"] == {"type": "sync", "data": {"n": 1}}
    none = await one.client.join("chat", "room", "zz", subscription="s3")
    assert none["event"] == {"type": "sync", "data": None}


async def test_triggers_of_every_engine_hear_of_a_change_once(start: Start) -> None:
    home = await start()
    one = await start(home.engine.url)
    heard: dict[str, list[Any]] = {"home": [], "one": []}
    for name, place in (("home", home), ("one", one)):

        def handle(call: Any, events: list[Any] = heard[name]) -> None:
            events.append(json.loads(bytes(call.data))["event"])
            call.reply(b"null")

        place.engine.core.add_function("seen", handle, module="test")
        await place.worker.send(
            "registertrigger",
            id="t",
            trigger_type="stream",
            function_id="seen",
            config={"stream_name": "chat"},
        )
        await place.worker.call("engine::health::check", {})
    await one.set("a", 1)
    await home.set("a", 2)
    events = [{"type": "create", "data": 1}, {"type": "update", "data": 2}]
    await until(lambda: heard == {"home": events, "one": events})


async def test_a_stream_that_a_worker_keeps_stays_with_it(start: Start) -> None:
    home = await start()
    one, two = await start(home.engine.url), await start(home.engine.url)
    answer = b'{"old_value":null,"new_value":7}'
    one.engine.core.add_function(
        "stream::set(chat)", lambda call: call.reply(answer), module="test"
    )
    assert await one.set("a", 7) == {"old_value": None, "new_value": 7}
    for place in (one, two):
        assert await place.client.event() == {"type": "create", "data": 7}
    assert await home.worker.call("stream::list", GROUP) == []


async def test_what_begins_here_is_published_on_a_topic_over_there(start: Start) -> None:
    home = await start()
    one = await start(home.engine.url)
    await home.worker.register("topic")
    await home.worker.register_trigger("subscribe", "topic", {"topic": "stream.events"})
    await one.set("a", 1)
    await one.set("a", 2)
    await one.worker.call("stream::delete", {**GROUP, "item_id": "a"})
    await one.worker.call("stream::delete", {**GROUP, "item_id": "a"})  # nothing happens
    await one.worker.call("stream::send", {**GROUP, "type": "typing"})
    published = []
    for _ in range(4):
        message = await home.worker.invoked("topic")
        published.append(message["data"]["event"])
        await home.worker.answer(message)
    assert published == [
        {"type": "create", "data": 1},
        {"type": "update", "data": 2},
        {"type": "delete", "data": 2},
        {"type": "event", "event": {"type": "typing", "data": None}},
    ]
    assert sorted(e["type"] for e in await one.events(4)) == ["create", "delete", "event", "update"]


async def test_a_bridge_of_another_make_publishes_changes_that_are_known_already(
    start: Start,
) -> None:
    home = await start()
    one = await start(home.engine.url)
    change = {"type": "create", "data": 1}
    told = {
        "type": "stream",
        "timestamp": 1,
        "streamName": "chat",
        "groupId": "room",
        "id": "a",
        "event": change,
    }
    await home.set("a", 1)
    await home.worker.call("publish", {"topic": "stream.events", "data": told})
    sent = {**told, "event": {"type": "event", "event": {"type": "t", "data": 1}}}
    await home.worker.call("publish", {"topic": "stream.events", "data": sent})
    assert await one.events(2) == [change, sent["event"]]


async def test_an_engine_that_is_gone_is_told_and_used_again_when_it_is_back(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("iii_engine.modules.bridge.remote.PATIENCE_SECONDS", 0.05)
    home = await start()
    one = await start(home.engine.url)
    module, url = one.engine.app.modules["iii-stream"], home.engine.url
    await home.engine.stop()
    await until(lambda: module.status() != "running")
    with pytest.raises(CallFailed, match=f"bridge_error: the engine at {url} cannot be reached"):
        await one.set("a", 1)
    await home.engine.start()
    await until(lambda: module.status() == "running")
    # What was missed meanwhile does not matter: the values come anew.
    assert await one.client.event() == {"type": "sync", "data": []}
    await one.set("a", 1)
    assert await one.client.event() == {"type": "create", "data": 1}


async def test_other_items_need_a_new_start(start: Start) -> None:
    home = await start()
    one = await start(home.engine.url)
    module = one.engine.app.modules["iii-stream"]
    assert isinstance(module, StreamModule)
    assert await module.reconfigure(module.options)
    assert not await module.reconfigure(StreamOptions())


def test_a_wrong_address_is_named() -> None:
    options = StreamOptions()
    options.adapter.name, options.adapter.config = "bridge", {"bridge_url": "http://x"}
    with pytest.raises(BusError, match="is not a ws:// or wss:// URL"):
        StreamModule.check(options)
