"""The pipeline of commands, with groups that only do what the test says."""

from __future__ import annotations

from collections.abc import Callable

from iii_engine.core.clock import VirtualClock
from iii_engine.core.pipeline import Pipeline, Stage
from iii_engine.core.timers import Timers


class FakeGroup:
    """Processes that end when they are asked, or `stubborn` ones; `code` reports their end."""

    def __init__(self, command: str, ended: Callable[[int], None], stubborn: str = "") -> None:
        self.command = command
        self.alive = True
        self.signals: list[str] = []
        self._ended = ended
        self._stubborn = stubborn
        self._over = False

    def exit(self, code: int, *, leaving: bool = False) -> None:
        self.alive = leaving
        if not self._over:
            self._over = True
            self._ended(code)

    def terminate(self) -> None:
        self._hear("TERM")

    def kill(self) -> None:
        self._hear("KILL")

    def _hear(self, name: str) -> None:
        self.signals.append(name)
        if self.alive and name not in self._stubborn:
            self.exit(143 if name == "TERM" else 137)


class Stand:
    """A pipeline in virtual time."""

    def __init__(self, *commands: str, revive: bool = False) -> None:
        self.clock = VirtualClock()
        self.timers = Timers(self.clock.monotonic_ns)
        self.groups: list[FakeGroup] = []
        self.stubborn = ""
        self.stopped: list[float] = []
        self.pipeline = Pipeline(commands, timers=self.timers, start=self._start)
        self.pipeline.follow(commands, revive=revive)
        self.began = self.clock.monotonic_ns()
        self.pipeline.restart()

    def _start(self, command: str, ended: Callable[[int], None]) -> FakeGroup:
        self.groups.append(FakeGroup(command, ended, self.stubborn))
        return self.groups[-1]

    @property
    def started(self) -> list[str]:
        return [group.command for group in self.groups]

    @property
    def now(self) -> float:
        return round((self.clock.monotonic_ns() - self.began) / 1e9, 2)

    def wait(self, seconds: float) -> None:
        end = self.clock.monotonic_ns() + round(seconds * 1e9)
        while (due := self.timers.next_deadline_ns()) is not None and due <= end:
            self.clock.advance(max(0, due - self.clock.monotonic_ns()) / 1e9)
            self.timers.advance()
        self.clock.advance((end - self.clock.monotonic_ns()) / 1e9)

    def stop(self) -> None:
        self.pipeline.stop(lambda: self.stopped.append(self.now))


def test_a_command_starts_when_the_one_before_ended_well() -> None:
    stand = Stand("build", "check", "serve")
    assert stand.started == ["build"]
    stand.groups[0].exit(0)
    assert stand.started == ["build", "check"]
    stand.groups[1].exit(0)
    assert stand.started == ["build", "check", "serve"]
    assert stand.pipeline.stage is Stage.RUNNING
    assert stand.pipeline.step == 2


def test_a_command_that_fails_ends_the_pipeline() -> None:
    stand = Stand("false", "serve", revive=True)
    stand.groups[0].exit(1)
    stand.wait(100)
    assert stand.started == ["false"]
    assert (stand.pipeline.stage, stand.pipeline.code) == (Stage.FAILED, 1)
    stand.pipeline.restart()
    assert stand.started == ["false", "false"]


def test_the_last_command_is_not_started_again_by_itself() -> None:
    stand = Stand("serve")
    stand.groups[0].exit(0)
    stand.wait(100)
    assert stand.started == ["serve"]
    assert stand.pipeline.stage is Stage.ENDED


def test_what_is_revived_waits_longer_each_time_and_at_most_30_seconds() -> None:
    stand = Stand("build", "serve", revive=True)
    stand.groups[0].exit(0)
    distances = []
    for _ in range(7):
        ended, count = stand.now, len(stand.groups)
        stand.groups[-1].exit(1)
        while len(stand.groups) == count:
            stand.wait(0.5)
        distances.append(stand.now - ended)
    assert distances == [1, 2, 4, 8, 16, 30, 30]
    assert stand.started == ["build", *["serve"] * 8]
    stand.wait(30)  # it proves stable
    stand.groups[-1].exit(1)
    stand.wait(1)
    assert len(stand.groups) == 10


def test_what_a_revived_command_left_behind_is_ended() -> None:
    stand = Stand("serve", revive=True)
    stand.groups[0].exit(1, leaving=True)
    assert stand.groups[0].signals == ["TERM"]
    stand.wait(1)
    assert stand.groups[0].signals == ["TERM", "KILL"]
    assert not stand.groups[0].alive
    assert stand.started == ["serve", "serve"]


def test_what_a_command_left_behind_goes_on_until_the_pipeline_stops() -> None:
    stand = Stand("daemon &", "serve")
    stand.groups[0].exit(0, leaving=True)
    stand.groups[1].exit(0, leaving=True)
    stand.wait(100)
    assert [group.signals for group in stand.groups] == [[], []]
    stand.stop()
    assert [group.signals for group in stand.groups] == [["TERM"], ["TERM"]]
    assert not any(group.alive for group in stand.groups)


def test_a_restart_ends_everything_first_and_begins_with_the_first_command() -> None:
    stand = Stand("build", "serve")
    stand.groups[0].exit(0)
    stand.groups[1]._stubborn = "TERM"
    stand.pipeline.restart()
    stand.wait(2.9)
    assert stand.started == ["build", "serve"]
    assert stand.groups[1].signals == ["TERM"]
    stand.pipeline.restart()  # a second change meanwhile is the same restart
    stand.wait(0.2)
    assert stand.groups[1].signals == ["TERM", "KILL"]
    assert stand.started == ["build", "serve", "build"]
    stand.groups[2].exit(0)
    assert stand.started[3:] == ["serve"]


def test_an_end_that_is_reported_late_does_not_count() -> None:
    stand = Stand("build", "serve")
    stand.groups[0]._stubborn = "TERM"
    stand.pipeline.restart()
    stand.groups[0].exit(0)
    assert stand.started == ["build"]
    stand.wait(1)
    assert stand.started == ["build", "build"]


def test_to_stop_takes_as_long_as_the_processes_take() -> None:
    stand = Stand("serve", revive=True)
    stand.stop()
    stand.wait(0)
    assert stand.stopped == [0]
    stand.pipeline.restart()
    stand.wait(60)
    assert stand.started == ["serve"]
    assert stand.pipeline.stage is Stage.STOPPED


def test_what_cannot_even_be_killed_is_given_up_after_4_seconds() -> None:
    stand = Stand("serve")
    stand.groups[0]._stubborn = "TERM KILL"
    stand.stop()
    stand.wait(10)
    assert stand.stopped == [4]
    assert stand.groups[0].signals[:2] == ["TERM", "KILL"]


def test_a_stop_replaces_a_restart_under_way() -> None:
    stand = Stand("serve")
    stand.groups[0]._stubborn = "TERM"
    stand.pipeline.restart()
    stand.stop()
    stand.wait(10)
    assert stand.started == ["serve"]
    assert stand.stopped == [3.05]


def test_only_other_commands_end_those_that_run() -> None:
    stand = Stand("serve")
    stand.pipeline.follow(["serve"], revive=True)
    assert stand.groups[0].signals == []
    stand.pipeline.follow(["build", "serve"], revive=True)
    stand.wait(1)
    assert stand.started == ["serve", "build"]


def test_whether_to_revive_can_change_when_the_command_has_ended() -> None:
    stand = Stand("serve")
    stand.groups[0].exit(1)
    stand.pipeline.follow(["serve"], revive=True)
    assert stand.pipeline.stage is Stage.WAITING
    stand.pipeline.follow(["serve"], revive=False)
    assert stand.pipeline.stage is Stage.ENDED
    stand.wait(100)
    assert stand.started == ["serve"]
    stand.pipeline.follow(["serve"], revive=True)
    stand.wait(2)
    assert stand.started == ["serve", "serve"]


def test_groups_with_nothing_left_are_forgotten() -> None:
    stand = Stand("a", "b", "c")
    stand.groups[0].exit(0)
    stand.groups[1].exit(0)
    stand.stop()
    assert [group.signals for group in stand.groups] == [[], [], ["TERM"]]
