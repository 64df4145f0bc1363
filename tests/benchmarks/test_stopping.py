from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.waiting import until_sync

from benchmarks.processes import Program
from benchmarks.stopping import stopped_at_times


def is_stopped(program: Program) -> bool:
    return subprocess.check_output(["ps", "-o", "stat=", "-p", str(program.pid)])[:1] == b"T"


def test_a_program_stands_still_at_times_and_goes_on_afterwards(tmp_path: Path) -> None:
    sleeping = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
    with Program(sleeping, tmp_path / "log") as program:
        program.line("up")
        with stopped_at_times([program]):
            until_sync(lambda: is_stopped(program))
        until_sync(lambda: not is_stopped(program))
        assert not program.ended()
