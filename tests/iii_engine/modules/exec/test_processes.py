"""Process groups, asked from the system."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
from tests.support.waiting import until_sync

from iii_engine.modules.exec import processes
from iii_engine.modules.exec.processes import has_members, send


def test_a_group_has_members_until_the_last_has_ended() -> None:
    with subprocess.Popen(["sleep", "99"], start_new_session=True) as process:
        assert has_members(process.pid)
        assert send(process.pid, signal.SIGKILL)
        # It has ended, and is in its group until this process asks for its exit code.
        until_sync(lambda: not has_members(process.pid))
        assert send(process.pid, 0)
    assert not send(process.pid, 0)
    assert not has_members(process.pid)


def test_without_proc_the_group_itself_is_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen(["sleep", "99"], start_new_session=True) as process:
        monkeypatch.setattr(processes, "_PROC", tmp_path)
        assert has_members(process.pid)
        monkeypatch.setattr(processes, "_PROC", tmp_path / "none")
        assert has_members(process.pid)
        process.kill()


def test_a_group_that_may_not_be_signalled_is_there(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(group: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr("os.killpg", refuse)
    assert send(1, 0)
    assert "may not be signalled" in caplog.text
