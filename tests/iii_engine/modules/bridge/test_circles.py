"""Engines that bridge something to each other: a call that would go round for ever ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.bridges import ask, connected
from tests.support.engine import RunningEngine
from tests.support.waiting import until

from iii_sdk.errors import BusError


@asynccontextmanager
async def pair(**options: Any) -> AsyncIterator[list[RunningEngine]]:
    """Two engines with these options of a bridge to each other."""
    engines = [RunningEngine(), RunningEngine()]
    urls = []
    for engine in engines:
        await engine.start()
        urls.append(engine.url)
        await engine.stop()
    for engine, other in zip(engines, reversed(urls), strict=True):
        engine.configure({"iii-bridge": {"url": other, **options}})
        await engine.start()
    try:
        for engine in engines:
            await connected(engine)
        yield engines
    finally:
        for engine in engines:
            await engine.stop()


@pytest.mark.parametrize(
    "options",
    [
        {"forward": [{"local_function": "f", "remote_function": "f"}]},
        {"expose": [{"local_function": "f"}]},
    ],
)
async def test_a_call_that_goes_in_a_circle_ends(options: dict[str, Any]) -> None:
    async with pair(**options) as (one, two):
        for engine in (one, two):
            await until(lambda: "f" in engine.core.registry)  # noqa: B023
        with pytest.raises(BusError) as caught:
            await ask(one, "f", {"n": 1}, timeout_ms=5_000)
        assert (caught.value.code, caught.value.details) == (
            "bridge_error",
            {"code": "bridge_loop"},
        )
        assert "from engine to engine 8 times" in caught.value.message


async def test_records_that_two_engines_expect_of_each_other_are_nowhere() -> None:
    async with pair() as (one, two):
        for engine, other in ((one, two), (two, one)):
            adapter = {"name": "bridge", "config": {"bridge_url": other.url}}
            engine.configure({"iii-state": {"adapter": adapter}})
        for engine in (one, two):
            await engine.restart()
        await connected(one)
        await connected(two)
        with pytest.raises(BusError, match="in a circle"):
            await ask(one, "state::get", {"scope": "s", "key": "k"}, timeout_ms=5_000)
