"""From one configuration to the next: in which order, and back when something does not work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from msgspec import Struct

from iii_engine.config.entries import Entry
from iii_engine.config.plan import Planned
from iii_engine.core.clock import SeededIds, SystemClock
from iii_engine.core.engine import Engine
from iii_engine.core.triggers import TriggerType
from iii_engine.module_set import ModuleSet, StartError
from iii_engine.modules.base import Host, Module
from iii_engine.storage.memory import MemoryStore
from iii_sdk.errors import BusError


class Broken(BusError):
    code = "broken"


class Options(Struct):
    """`size` changes in place, `place` needs a restart, `fails` is refused."""

    size: int = 0
    place: int = 0
    fails: bool = False


class Recorder(Module[Options]):
    """Writes down what happens to it."""

    kind = "recorder"
    Options = Options
    events: ClassVar[list[str]] = []

    async def start(self) -> None:
        if self.options.fails:
            raise Broken("it does not work")
        self.events.append(f"start {self.name} {self.options.place}")
        self.offer(f"{self.name}::f", lambda call: call.reply(b"null"), description="f")
        self.offer_type(TriggerType(f"{self.name}::t"))

    async def reconfigure(self, options: Options) -> bool:
        if options.place != self.options.place:
            return False
        if options.fails:
            raise Broken("it does not work")
        self.options = options
        self.events.append(f"change {self.name} {options.size}")
        return True

    async def drain(self, seconds: float) -> None:
        self.events.append(f"drain {self.name}")

    async def stop(self) -> None:
        self.events.append(f"stop {self.name}")
        await super().stop()


@pytest.fixture
async def modules() -> ModuleSet:
    Recorder.events.clear()
    engine = Engine(SystemClock(), SeededIds(1))
    host = Host(engine, MemoryStore(), asyncio.get_running_loop())
    made = ModuleSet(host)
    for planned in plan(a={}, b={}, c={}):
        await made.start(planned)
    Recorder.events.clear()
    return made


def plan(**configs: dict[str, Any]) -> list[Planned]:
    return [
        Planned(Entry(name, "recorder", config), Recorder, Options(**config))
        for name, config in configs.items()
    ]


def running(modules: ModuleSet) -> list[str]:
    return list(modules._host.modules)


def offered(modules: ModuleSet) -> set[str]:
    engine = modules._host.engine
    return {f.id for f in engine.registry} | {t.id for t in engine.triggers.types()}


async def test_changed_then_removed_then_added_and_the_rest_is_left_alone(
    modules: ModuleSet,
) -> None:
    assert await modules.apply(plan(d={}, c={"place": 1}, b={})) == []
    assert Recorder.events == [
        "drain c",
        "stop c",
        "start c 1",
        "drain a",
        "stop a",
        "start d 0",
    ]
    assert running(modules) == ["d", "c", "b"]
    assert offered(modules) == {f"{m}::{x}" for m in "bcd" for x in "ft"}


async def test_what_can_change_in_place_is_not_started_again(modules: ModuleSet) -> None:
    assert await modules.apply(plan(a={"size": 3}, b={}, c={"size": 0})) == []
    assert Recorder.events == ["change a 3"]


async def test_a_refused_change_leaves_the_module_and_changes_the_others(
    modules: ModuleSet,
) -> None:
    problems = await modules.apply(plan(a={"fails": True}, b={"size": 1}, c={}))
    assert problems == ["failed to change worker 'a': it does not work"]
    assert Recorder.events == ["change b 1"]
    # The file still differs from what runs: the next change of it tries again.
    assert await modules.apply(plan(a={"size": 2}, b={"size": 1}, c={})) == []
    assert Recorder.events == ["change b 1", "change a 2"]


async def test_a_restart_that_fails_goes_back_to_the_last_good_options(
    modules: ModuleSet,
) -> None:
    problems = await modules.apply(plan(a={}, b={"place": 1, "fails": True}, c={}))
    assert problems == ["failed to initialize worker 'b': it does not work"]
    assert Recorder.events == ["drain b", "stop b", "stop b", "start b 0"]
    assert running(modules) == ["a", "b", "c"]
    assert offered(modules) == {f"{m}::{x}" for m in "abc" for x in "ft"}


async def test_a_module_that_cannot_come_back_is_started_by_a_later_change(
    modules: ModuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    start: Callable[[Recorder], Any] = Recorder.start

    async def cannot(self: Recorder) -> None:
        raise Broken(f"not with {self.options.place}")

    monkeypatch.setattr(Recorder, "start", cannot)
    problems = await modules.apply(plan(a={}, b={"place": 1}, c={}))
    assert problems == [
        "failed to initialize worker 'b': not with 1",
        "failed to initialize worker 'b': not with 0",
    ]
    assert running(modules) == ["a", "c"]
    monkeypatch.setattr(Recorder, "start", start)
    assert await modules.apply(plan(a={}, b={"place": 1}, c={})) == []
    assert running(modules) == ["a", "b", "c"]


async def test_a_new_module_that_fails_is_reported_and_the_others_start(
    modules: ModuleSet,
) -> None:
    problems = await modules.apply(plan(a={}, b={}, c={}, d={"fails": True}, e={}))
    assert problems == ["failed to initialize worker 'd': it does not work"]
    assert running(modules) == ["a", "b", "c", "e"]


async def test_a_stop_that_raises_is_logged_and_the_next_one_starts(
    modules: ModuleSet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def cannot(self: Recorder) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(Recorder, "stop", cannot)
    assert await modules.apply(plan(a={"place": 1}, b={}, c={})) == []
    assert caplog.messages == ["module a did not stop cleanly"]


async def test_all_stop_in_the_reverse_order_of_the_file(modules: ModuleSet) -> None:
    await modules.apply(plan(b={}, a={"place": 1}, c={}))
    Recorder.events.clear()
    await modules.stop_all()
    assert Recorder.events == ["stop c", "stop a", "stop b"]


async def test_a_start_that_fails_says_which_module_and_why(modules: ModuleSet) -> None:
    with pytest.raises(StartError, match="failed to initialize worker 'x': it does not work"):
        await modules.start(plan(x={"fails": True})[0])


async def test_a_start_that_fails_as_nobody_expected_leaves_nothing_behind(
    modules: ModuleSet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start: Callable[[Recorder], Any] = Recorder.start

    async def cannot(self: Recorder) -> None:
        await start(self)
        raise KeyError("odd")

    async def nor_stop(self: Recorder) -> None:
        raise RuntimeError("nor that")

    before = offered(modules)
    monkeypatch.setattr(Recorder, "start", cannot)
    monkeypatch.setattr(Recorder, "stop", nor_stop)
    with pytest.raises(StartError, match="failed to initialize worker 'x': KeyError: 'odd'"):
        await modules.start(plan(x={})[0])
    assert offered(modules) == before
    assert modules._host.types.keys() == {("recorder", f"{m}::t") for m in "abc"}
    assert "worker 'x' failed" in caplog.text
    assert await modules.apply(plan(a={}, b={}, c={}, x={})) == [
        "failed to initialize worker 'x': KeyError: 'odd'"
    ]


async def test_a_start_that_is_cancelled_leaves_nothing_behind(
    modules: ModuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    start: Callable[[Recorder], Any] = Recorder.start

    async def hangs(self: Recorder) -> None:
        await start(self)
        await asyncio.Event().wait()

    before = offered(modules)
    monkeypatch.setattr(Recorder, "start", hangs)
    starting = asyncio.create_task(modules.start(plan(x={})[0]))
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert offered(modules) == before


async def test_a_change_that_fails_as_nobody_expected_keeps_no_other_from_changing(
    modules: ModuleSet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    change: Callable[[Recorder, Options], Any] = Recorder.reconfigure

    async def odd(self: Recorder, options: Options) -> bool:
        if self.name == "a":
            raise KeyError("odd")
        return bool(await change(self, options))

    monkeypatch.setattr(Recorder, "reconfigure", odd)
    problems = await modules.apply(plan(a={"size": 1}, b={"size": 1}, c={}))
    assert problems == ["failed to change worker 'a': KeyError: 'odd'"]
    assert Recorder.events == ["change b 1"]
    assert running(modules) == ["a", "b", "c"]


async def test_an_end_that_fails_in_one_module_comes_to_all_others(
    modules: ModuleSet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def cannot(self: Recorder, *arguments: object) -> None:
        self.events.append(f"tried {self.name}")
        raise KeyError("odd")

    for method in ("quiesce", "drain", "stop"):
        monkeypatch.setattr(Recorder, method, cannot)
    await modules.quiesce()
    assert Recorder.events == ["tried a", "tried b", "tried c"]
    assert await modules.apply(plan(a={})) == []
    await modules.stop_all()
    assert running(modules) == []
    assert offered(modules) == set()
