"""What a running system tells the other commands about itself."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from agentos.host.home import Home, HomeError


class RunState(Struct):
    """Written by the supervisor when everything is up, removed when it ends."""

    pid: int
    engine_url: str
    api_url: str
    hosts: dict[str, int]
    engine_pid: int

    def save(self, home: Home) -> None:
        draft = home.state_file.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(self))
        draft.replace(home.state_file)


def read_run_state(home: Home) -> RunState | None:
    """The state of the system that runs from this home, or None. Raises `HomeError`."""
    try:
        return msgspec.json.decode(home.state_file.read_bytes(), type=RunState)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    except OSError as error:
        raise HomeError(f"cannot read {home.state_file}: {error.strerror}") from error
