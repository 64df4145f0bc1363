"""`config.toml` of the home folder, as far as running AgentOS needs it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
from msgspec import Struct

from agentos.host.catalogue import worker_names
from agentos.host.home import HomeError

_NAME = re.compile(r"[\w-]{1,64}")
#: Names of other processes; the log file of a host has its name.
TAKEN = ("engine", "supervisor")


class Settings(Struct, forbid_unknown_fields=True):
    """`hosts` names processes and the workers each one runs; the rest share the host `main`.

    ```toml
    [hosts]
    models = ["llm-router"]     # a process of its own
    ```
    """

    hosts: dict[str, list[str]] = {}
    # What the command line keeps in the same file.
    default_model: str = ""
    api_url: str = ""
    keys: dict[str, str] = {}
    api: dict[str, str] = {}

    def placement(self) -> dict[str, list[str]]:
        """Every worker's host, as host → workers. Raises `HomeError` for an unknown worker."""
        known = worker_names()
        placed: dict[str, str] = {}
        for host, workers in self.hosts.items():
            if not _NAME.fullmatch(host) or host in TAKEN:
                raise HomeError(f"config.toml: [hosts] {host!r} cannot be the name of a host")
            for worker in workers:
                if worker not in known:
                    raise HomeError(f"config.toml: [hosts] {host}: there is no worker {worker!r}")
                if worker in placed:
                    raise HomeError(
                        f"config.toml: [hosts] {worker!r} is in {placed[worker]!r} and in {host!r}"
                    )
                placed[worker] = host
        rest = [worker for worker in known if worker not in placed]
        hosts = {host: list(workers) for host, workers in self.hosts.items() if workers}
        if rest:
            hosts["main"] = hosts.get("main", []) + rest
        return hosts


def read_settings(path: Path) -> Settings:
    """The settings of the file, or the defaults when there is none."""
    try:
        values = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError) as error:
        raise HomeError(f"cannot read {path}: {error}") from error
    try:
        return msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        raise HomeError(f"{path}: {error}") from error
