"""`iii-exec` with real processes. Case numbers are those of the engine-modules spec."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.engine import EngineProcess, RunningEngine
from tests.support.waiting import until, until_sync

from iii_engine.core.pipeline import Stage
from iii_engine.modules.exec.module import ExecModule
from iii_engine.modules.exec.options import ExecOptions
from iii_sdk.errors import BusError


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[ExecModule]:
    engine = RunningEngine({"iii-exec": options})
    await engine.start()
    try:
        module = engine.app.modules["iii-exec"]
        assert isinstance(module, ExecModule)
        yield module
    finally:
        await engine.stop()


def is_there(pid: int) -> bool:
    """Zombies, whose parent has not looked yet, are not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


class Notes:
    """A file that commands append to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def lines(self) -> list[str]:
        return self.path.read_text().split() if self.path.exists() else []

    async def wait_for(self, count: int) -> list[str]:
        await until(lambda: len(self.lines) >= count, f"{count} notes")
        return self.lines


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path / "notes")


# -- the pipeline --------------------------------------------------------------------------------


async def test_modules_case_119_a_command_that_fails_ends_the_pipeline(
    notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(exec=["false", f"echo x >>{notes.path}; sleep 99"]) as module:
        await until(lambda: module.pipeline.stage is Stage.FAILED)
        assert module.pipeline.code == 1
        assert "functions" in str(await _ask(module, "engine::functions::list"))
    assert notes.lines == []
    assert "command 1 of 2 failed with 1" in caplog.text


async def _ask(module: ExecModule, function_id: str) -> Any:
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    module.engine.call(function_id, b"{}", lambda *answer: answered.set_result(answer))
    return bytes((await answered)[0])


def test_modules_case_119_a_sigterm_takes_the_whole_group_along(tmp_path: Path) -> None:
    member, pids, told = tmp_path / "member", tmp_path / "pids", tmp_path / "told"
    member.write_text(
        f"trap 'echo $$ >>{told}; exit' TERM; echo $$ >>{pids}; while :; do sleep 0.1; done"
    )
    process = EngineProcess(tmp_path, config(exec=["true", f"sh {member} & sh {member}"]))
    process.start()
    try:
        until_sync(lambda: len(pids_of(pids)) == 2)
        assert process.stop() == 0
        until_sync(lambda: not any(map(is_there, pids_of(pids))))
        assert sorted(pids_of(told)) == sorted(pids_of(pids))
    finally:
        process.close()


def config(**options: Any) -> str:
    entry = msgspec.json.encode({"name": "iii-exec", "config": options}).decode()
    return (
        "workers:\n- {name: iii-worker-manager, config: {host: 127.0.0.1, port: 0}}\n"
        f"- {entry}\n"
    )


def pids_of(path: Path) -> list[int]:
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


@pytest.mark.promise(
    "Programs",
    "No process group that `iii-exec` started outlives the engine, not even one that is killed.",
)
@pytest.mark.parametrize(
    "ending",
    [
        pytest.param(lambda process: process.kill(), id="killed"),
        pytest.param(
            lambda process: [process.signal(signal.SIGTERM) for _ in range(2)], id="second-signal"
        ),
    ],
)
def test_no_process_outlives_an_engine_that_cannot_end_it(
    tmp_path: Path, ending: Callable[[EngineProcess], object]
) -> None:
    stubborn = f"trap '' TERM; sleep 99 & echo $! $$ >{tmp_path}/pids; wait; wait"
    process = EngineProcess(tmp_path, config(exec=[stubborn]))
    process.start()
    try:
        pids = until_sync(lambda: pids_of(tmp_path / "pids"))
        ending(process)
        until_sync(lambda: not any(map(is_there, pids)))
    finally:
        process.close()


async def test_what_ignores_sigterm_is_killed_after_3_seconds(tmp_path: Path) -> None:
    async with running(exec=[f"trap '' TERM; echo $$ >{tmp_path}/pids; while :; do sleep 9; done"]):
        pids = await until(lambda: pids_of(tmp_path / "pids"))
        began = time.monotonic()
    assert time.monotonic() - began >= 3
    assert not is_there(pids[0])


async def test_instances_stop_at_the_same_time(tmp_path: Path) -> None:
    stubborn = "trap '' TERM; touch {}; while :; do sleep 9; done"
    names = ["iii-exec", *(f"iii-exec#{number}" for number in range(1, 6))]
    engine = RunningEngine({name: {"exec": [stubborn.format(tmp_path / name)]} for name in names})
    await engine.start()
    await until(lambda: all((tmp_path / name).exists() for name in names))
    began = time.monotonic()
    await engine.stop()
    assert time.monotonic() - began < 12  # of 18, one after the other


async def test_programs_stop_before_the_bus_does(tmp_path: Path) -> None:
    engine = RunningEngine({"iii-exec": {"exec": ["sleep 99"]}})
    await engine.start()
    assert list(engine.app.modules)[-2:] == ["iii-worker-manager", "iii-exec"]
    await engine.stop()


async def test_commands_run_in_the_engines_directory_with_its_environment(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAVOUR", "vanilla")
    async with running(exec=[f"echo $FLAVOUR $PWD >>{notes.path}"]):
        assert await notes.wait_for(2) == ["vanilla", os.getcwd()]


async def test_what_dies_is_revived_when_that_is_asked_for(notes: Notes) -> None:
    async with running(exec=[f"echo x >>{notes.path}; exit 3"], restart="always") as module:
        await notes.wait_for(2)
        assert module.pipeline.code == 3


async def test_the_death_of_a_program_is_the_end_of_it_by_default(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(exec=["kill -9 $$"]) as module:
        await until(lambda: module.pipeline.stage is Stage.ENDED)
        assert module.pipeline.code == 137
    assert "command 1 of 1 ended with 137" in caplog.text


async def test_a_pipeline_that_failed_shows_in_the_health_check() -> None:
    async with running(exec=["exit 3", "sleep 99"]) as module:
        assert module.status() == "running"
        await until(lambda: module.status() == "command 1 of 2 ended with 3")
        health = msgspec.json.decode(await _ask(module, "engine::health::check"))
        assert health["components"]["modules"]["status"] == "degraded"
    async with running(exec=["true"]) as module:
        await until(lambda: module.pipeline.stage is Stage.ENDED)
        assert module.status() == "running"  # it did what it was for


async def test_a_shell_that_cannot_be_started_is_a_command_that_failed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(exec=["true"]) as module:
        await until(lambda: module.pipeline.stage is Stage.ENDED)

        async def refuse(*command: str, **options: object) -> None:
            raise OSError("no more processes")

        monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
        module.pipeline.restart()
        await until(lambda: module.pipeline.code == 126)
    assert "no more processes" in caplog.text


async def test_what_a_command_leaves_in_its_group_is_ended_with_the_pipeline(
    notes: Notes,
) -> None:
    async with running(exec=[f"sleep 99 & echo $! >>{notes.path}", "sleep 99"]):
        (pid,) = await notes.wait_for(1)
        assert is_there(int(pid))
    assert not is_there(int(pid))


async def test_a_command_is_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with running(exec=["TOKEN=s3cret true"]) as module:
        await until(lambda: module.pipeline.stage is Stage.ENDED)
    assert "s3cret" not in caplog.text


# -- watching ------------------------------------------------------------------------------------


async def test_modules_case_120_a_change_restarts_once(tmp_path: Path, notes: Notes) -> None:
    watched = tmp_path / "d/x/y.py"
    watched.parent.mkdir(parents=True)
    watched.write_text("1")
    options = {"exec": [f"echo x >>{notes.path}; sleep 99"], "watch": [f"{tmp_path}/d/**/*.py"]}
    async with running(**options) as module:
        await notes.wait_for(1)
        looks = await looked(module)
        (tmp_path / "d/x/y.txt").write_text("2")
        await looks(3)
        assert notes.lines == ["x"]
        watched.touch()
        await notes.wait_for(2)
        await looks(3)
        assert notes.lines == ["x", "x"]


async def looked(module: ExecModule) -> Callable[[int], Any]:
    """Waits until the watcher has looked so many more times; it has looked once by now."""
    watcher = module._watcher
    assert watcher is not None
    await until(lambda: watcher.looks > 0)

    async def more(count: int) -> None:
        target = watcher.looks + count
        await until(lambda: watcher.looks >= target)

    return more


# -- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"exec": []}, {"exec": [""]}, {"exec": [], "watsh": []}])
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, ExecOptions)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"exec": ["x"], "restart": "sometimes"}, ExecOptions)


async def test_other_options_leave_what_runs_alone_and_other_commands_replace_it(
    tmp_path: Path, notes: Notes
) -> None:
    first = f"echo $$ >>{notes.path}; exec sleep 99"
    async with running(exec=[first]) as module:
        (pid,) = await notes.wait_for(1)
        watch = [f"{tmp_path}/*.py"]
        await module.reconfigure(ExecOptions([first], watch, "always"))
        await looked(module)
        assert is_there(int(pid))
        (tmp_path / "a.py").write_text("x")
        _, second = await notes.wait_for(2)
        assert not is_there(int(pid))
        await module.reconfigure(ExecOptions([first], watch, "never"))
        assert module._watcher is None
        os.kill(int(second), signal.SIGKILL)
        await until(lambda: module.pipeline.stage is Stage.ENDED)
        await module.reconfigure(ExecOptions([f"echo new >>{notes.path}; sleep 99"]))
        assert (await notes.wait_for(3))[2] == "new"


async def test_nothing_is_started_again_once_the_engine_is_about_to_stop(notes: Notes) -> None:
    async with running(exec=[f"echo $$ >>{notes.path}; exec sleep 99"], restart="always") as module:
        (pid,) = await notes.wait_for(1)
        await module.quiesce()
        os.kill(int(pid), signal.SIGKILL)
        await until(lambda: module.pipeline.stage is Stage.ENDED)


def test_a_command_that_no_system_call_takes_is_refused() -> None:
    with pytest.raises(BusError, match=r"config\.exec\[1\]: a command cannot contain NUL"):
        ExecModule.check(ExecOptions(exec=["true", "a\0b"]))
