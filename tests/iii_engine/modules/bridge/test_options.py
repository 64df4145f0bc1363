"""What a bridge may be told, and how it changes while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from tests.support.bridges import Start, ask, bridge, listed, provide
from tests.support.engine import RunningEngine
from tests.support.waiting import until

from iii_engine.module_set import StartError
from iii_engine.modules.bridge import BridgeModule
from iii_engine.modules.bridge.link import check_url
from iii_engine.modules.bridge.options import BridgeOptions
from iii_sdk.errors import BusError


def test_without_a_url_the_environment_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("III_URL", "ws://elsewhere:1")
    assert BridgeOptions().address == "ws://elsewhere:1"
    assert BridgeOptions("ws://given").address == "ws://given"
    monkeypatch.delenv("III_URL")
    assert BridgeOptions().address == "ws://127.0.0.1:49134"


@pytest.mark.parametrize("url", ["http://h", "ws://", "ws://h:port", "h:1", ""])
def test_what_is_no_websocket_url_is_refused(url: str) -> None:
    with pytest.raises(BusError, match=r"config\.url: '.*' is not a ws:// or wss:// URL"):
        check_url(url, "config.url")


@pytest.mark.parametrize("url", ["ws://me:secret@h:1", "wss://secret@h", "ws://:secret@h/x"])
def test_a_password_that_would_not_be_sent_is_refused(url: str) -> None:
    with pytest.raises(BusError, match=r"config\.url: '.*' has a user or a password") as refused:
        check_url(url, "config.url")
    assert "secret" not in refused.value.message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"expose": [{"local_function": "a"}, {"local_function": "b", "remote_function": "a"}]},
            r"config\.expose\[1\]\.remote_function: 'a' is there twice",
        ),
        (
            {"forward": [{"local_function": "a", "remote_function": "b"}] * 2},
            r"config\.forward\[1\]\.local_function: 'a' is there twice",
        ),
        ({"url": "ftp://x"}, "config.url"),
    ],
)
def test_options_that_contradict_themselves_are_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BusError, match=message):
        BridgeModule.check(msgspec.convert(options, BridgeOptions))


async def test_a_function_of_another_module_cannot_be_replaced(bridged: Start) -> None:
    forward = [{"local_function": "state::get", "remote_function": "x"}]
    with pytest.raises(StartError, match=r"config\.forward\[0\].*'state::get' is a function of"):
        await bridged(forward=forward)


async def test_two_instances_cannot_expose_the_same_id(engine: RunningEngine) -> None:
    options = {"url": engine.url, "expose": [{"local_function": "f"}]}
    local = RunningEngine({"iii-bridge": options, "iii-bridge#1": options})
    with pytest.raises(StartError, match=r"config\.expose\[0\].*'f' is exposed by iii-bridge"):
        await local.start()


@asynccontextmanager
async def another(engine: RunningEngine) -> AsyncIterator[RunningEngine]:
    other = RunningEngine()
    await other.start()
    yield other
    await other.stop()


async def test_other_options_apply_in_place(engine: RunningEngine, bridged: Start) -> None:
    local = await bridged(
        expose=[{"local_function": "stays"}, {"local_function": "goes"}],
        forward=[{"local_function": "r.stays", "remote_function": "there"}],
    )
    provide(engine, "there", "there")
    provide(local, "comes", "comes")
    await until(lambda: listed(engine, "goes"))
    session = next(iter(engine.core.sessions.values()))
    options = {
        "url": engine.url,
        "expose": [{"local_function": "stays"}, {"local_function": "comes"}],
        "forward": [
            {"local_function": "r.stays", "remote_function": "there"},
            {"local_function": "r.comes", "remote_function": "there"},
        ],
        "service_id": "svc",
    }
    assert await bridge(local).reconfigure(msgspec.convert(options, BridgeOptions))
    await until(lambda: listed(engine, "comes"))
    assert not await listed(engine, "goes")
    assert await ask(local, "r.stays") == await ask(local, "r.comes") == "there"
    assert list(engine.core.sessions.values()) == [session]
    assert await bridge(local).reconfigure(BridgeOptions(engine.url))
    with pytest.raises(BusError, match="function_not_found"):
        await ask(local, "r.stays")


async def test_a_call_under_way_survives_a_change_of_the_address(
    engine: RunningEngine, bridged: Start
) -> None:
    local = await bridged(
        expose=[{"local_function": "f"}],
        forward=[{"local_function": "r", "remote_function": "slow"}],
    )
    calls = provide(engine, "slow", None)
    waiting = asyncio.create_task(ask(local, "r"))
    await until(lambda: calls)
    async with another(engine) as other:
        provide(other, "slow", "other")
        options = msgspec.structs.replace(bridge(local).options, url=other.url)
        assert await bridge(local).reconfigure(options)
        assert await ask(local, "r") == "other"
        await until(lambda: listed(other, "f"))
        calls[0].reply(b'"first"')
        assert await waiting == "first"
        await until(lambda: not engine.core.sessions)
        with pytest.raises(BusError, match="ftp"):
            BridgeModule.check(BridgeOptions("ftp://x"))
