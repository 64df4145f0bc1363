"""The adapter `bridge`: several real engines with the records of one of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import CallFailed, RawWorker
from tests.support.waiting import until

from iii_engine.modules.state import StateModule
from iii_engine.modules.state.options import StateOptions
from iii_sdk.errors import BusError

Start = Callable[[], Awaitable["Place"]]


class Place:
    """An engine and a worker on it."""

    def __init__(self, engine: RunningEngine, worker: RawWorker) -> None:
        self.engine = engine
        self.worker = worker
        self.events: list[Any] = []

    async def set(self, key: str, value: object) -> Any:
        return await self.worker.call("state::set", {"scope": "s", "key": key, "value": value})

    async def watch(self, function_id: str, **config: str) -> list[tuple[str, str]]:
        """What happens from now on to these records: event type and key."""
        heard: list[tuple[str, str]] = []

        def handle(call: Any) -> None:
            event = json.loads(bytes(call.data))
            heard.append((event["event_type"].removeprefix("state:"), event["key"]))
            call.reply(b"null")

        self.engine.core.add_function(function_id, handle, module="test")
        await self.worker.send(
            "registertrigger",
            id=function_id,
            trigger_type="state",
            function_id=function_id,
            config=config,
        )
        # The answer comes from where the records are, after everything said before: it is
        # registered there by now.
        await self.worker.call("state::get", {"scope": "s", "key": "none"})
        return heard


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect again at once."""
    monkeypatch.setattr("iii_engine.modules.bridge.link.FIRST_PAUSE", 0.05)


@pytest.fixture
async def start(engine: RunningEngine) -> AsyncIterator[Start]:
    """Start an engine whose records are those of `engine`."""
    adapter = {"name": "bridge", "config": {"bridge_url": engine.url}}
    async with AsyncExitStack() as stack:

        async def start() -> Place:
            local = RunningEngine({"iii-state": {"adapter": adapter}})
            await local.start()
            stack.push_async_callback(local.stop)
            return Place(local, await stack.enter_async_context(RawWorker(local.url)))

        yield start


@pytest.fixture
async def home(engine: RunningEngine) -> AsyncIterator[Place]:
    """The engine that has the records."""
    async with RawWorker(engine.url) as worker:
        yield Place(engine, worker)


async def test_engines_share_the_records_and_hear_each_change_once(
    home: Place, start: Start
) -> None:
    one, two = await start(), await start()
    heard = [await place.watch("seen", scope="s") for place in (one, two, home)]
    await one.set("a", 1)
    await two.set("a", 2)
    await home.set("b", 3)
    await home.worker.call("state::set", {"scope": "other", "key": "x", "value": 1})
    await two.worker.call("state::delete", {"scope": "s", "key": "a"})
    expected = [("created", "a"), ("updated", "a"), ("created", "b"), ("deleted", "a")]
    for events in heard:
        await until(lambda: len(events) >= len(expected))  # noqa: B023
        assert events == expected
    assert await one.worker.call("state::list", {"scope": "s"}) == [3]


async def test_a_trigger_hears_of_its_own_record_only_and_once(home: Place, start: Start) -> None:
    one = await start()
    of_key = await one.watch("of-key", scope="s", key="a")
    of_all = await one.watch("of-all")
    again = await one.watch("of-key-again", scope="s", key="a")
    await home.set("b", 1)
    await one.set("a", 1)
    await until(lambda: len(of_all) == 2)
    await until(lambda: of_key and again)
    assert of_key == again == [("created", "a")]
    assert of_all == [("created", "b"), ("created", "a")]


async def test_without_triggers_nothing_is_asked_for(home: Place, start: Start) -> None:
    one = await start()
    await one.set("a", 1)

    def kinds() -> int:
        return len(list(home.engine.core.triggers.of_type(_state_type(home))))

    assert kinds() == 0
    await one.watch("seen")
    await one.set("a", 2)
    assert kinds() == 1
    await one.worker.send("unregistertrigger", id="seen", trigger_type="state")
    await until(lambda: kinds() == 0)


def _state_type(place: Place) -> Any:
    return next(t for t in place.engine.core.triggers.types() if t.id == "state")


async def test_errors_are_those_of_the_other_engine(start: Start) -> None:
    one = await start()
    with pytest.raises(CallFailed) as caught:
        await one.worker.call("state::get", {"scope": "s"})
    assert caught.value.code == "deserialization_error"


async def test_an_engine_that_comes_back_is_used_again(home: Place, start: Start) -> None:
    one = await start()
    heard = await one.watch("seen")
    await one.set("a", 1)
    await until(lambda: heard)
    module = one.engine.app.modules["iii-state"]
    await home.engine.restart()
    await until(lambda: module.status() == "running")
    assert await one.worker.call("state::get", {"scope": "s", "key": "a"}) is None
    await one.set("a", 1)
    await until(lambda: heard == [("created", "a")] * 2)


async def test_an_engine_that_is_away_is_waited_for_and_then_named(
    home: Place, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iii_engine.modules.bridge.remote.PATIENCE_SECONDS", 0.05)
    one = await start()
    await one.set("a", 1)
    url = home.engine.url
    await home.engine.stop()
    module = one.engine.app.modules["iii-state"]
    await until(lambda: module.status() != "running")
    with pytest.raises(CallFailed) as caught:
        await one.set("a", 2)
    assert str(caught.value) == f"bridge_error: the engine at {url} cannot be reached"
    await home.engine.start()


async def test_a_call_that_waited_for_the_other_engine_then_has_all_its_time(
    home: Place, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iii_engine.modules.bridge.link.FIRST_PAUSE", 0.01)
    one = await start()
    await one.set("a", 1)
    module = one.engine.app.modules["iii-state"]
    await home.engine.stop()
    await until(lambda: module.status() != "running")
    waiting = asyncio.create_task(one.set("a", 2))
    await home.engine.start()
    assert await waiting == {"old_value": None, "new_value": 2}


async def test_an_engine_that_does_not_answer_or_goes_is_named(
    home: Place, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await start()
    calls: list[Any] = []
    home.engine.core.remove_function("state::get")
    home.engine.core.add_function("state::get", calls.append, module="test")
    where, record = f"the engine at {home.engine.url}", {"scope": "s", "key": "a"}
    with monkeypatch.context() as short:
        short.setattr("iii_engine.modules.bridge.remote.TIMEOUT_MS", 50)
        with pytest.raises(CallFailed) as caught:
            await one.worker.call("state::get", record)
    assert str(caught.value) == f"bridge_error: {where} did not answer within 0.05 s"
    assert len(calls) == 1
    waiting = asyncio.create_task(one.worker.call("state::get", record))
    await until(lambda: len(calls) == 2)
    await home.engine.stop()
    with pytest.raises(CallFailed) as caught:
        await waiting
    assert str(caught.value) in (
        f"bridge_error: {where} did not do it: "
        "the connection to the engine was lost during the call",
        "invocation_stopped: Invocation stopped",
    )
    await home.engine.start()


async def test_other_records_need_a_new_start(home: Place, start: Start) -> None:
    one = await start()
    module = one.engine.app.modules["iii-state"]
    assert isinstance(module, StateModule)
    assert await module.reconfigure(module.options)
    assert not await module.reconfigure(StateOptions())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"bridge_url": "http://x"},
            r"adapter\.config\.bridge_url: 'http://x' is not a ws",
        ),
        ({"url": "ws://x"}, r"config\.adapter\.config: .*`url`"),
    ],
)
def test_a_wrong_config_is_named(config: dict[str, object], message: str) -> None:
    options = StateOptions()
    options.adapter.name, options.adapter.config = "bridge", config
    with pytest.raises(BusError, match=message):
        StateModule.check(options)
