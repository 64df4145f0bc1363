"""What the system knows about process groups."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Final

log = logging.getLogger("iii.exec")

_PROC: Final = Path("/proc")
_ENDED: Final = (b"Z", b"X")


def send(group: int, number: int) -> bool:
    """Send a signal to a group, or with 0 nothing; is there such a group?"""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs as somebody else by now, and is there all the same
        log.warning("process group %d may not be signalled", group)
    return True


def has_members(group: int) -> bool:
    """Does a process of the group still run?

    One that has ended stays in its group until its parent has asked for its exit code, and the
    first process of a container often never asks. Where there is `/proc`, such do not count.
    """
    if not send(group, 0):
        return False
    try:
        names = os.listdir(_PROC)
    except OSError:
        return True
    found = [_state_and_group(name) for name in names if name.isdigit()]
    if all(entry is None for entry in found):
        return True  # no /proc as on Linux
    return any(
        entry is not None and entry[1] == group and entry[0] not in _ENDED for entry in found
    )


def _state_and_group(pid: str) -> tuple[bytes, int] | None:
    """From proc_pid_stat(5): the name, in parentheses, may contain anything."""
    try:
        fields = (_PROC / pid / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[2])
