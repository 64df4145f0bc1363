"""The processes of one command."""

from __future__ import annotations

import time
from pathlib import Path

from tests.support.waiting import until

from iii_engine.modules.exec.group import ProcessGroup


async def test_a_command_does_not_begin_before_its_group_is_known(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    early: list[bool] = []

    def counted() -> None:
        time.sleep(0.1)  # more than a shell needs to begin
        early.append(begun.exists())

    codes: list[int] = []
    group = ProcessGroup(f"echo > {begun}; exit 3", counted, codes.append)
    await until(lambda: codes)
    assert codes == [3]
    assert early[0] is False
    assert begun.exists()
    await until(lambda: not group.alive)
