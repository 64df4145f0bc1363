"""What a worker tells the engine about itself."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import tomllib
from functools import cache
from pathlib import Path

from iii_sdk.protocol import WorkerMetadata, WorkerTelemetry

#: Announced so that the engine knows this client reads messages of up to 64 MiB.
FEATURES = ("large-messages.v1",)


def worker_metadata(
    name: str | None = None, *, version: str | None = None, description: str | None = None
) -> WorkerMetadata:
    """The metadata of this process. The default name is `$III_WORKER_NAME`, else `<host>:<pid>`."""
    return WorkerMetadata(
        runtime="python",
        version=version or sdk_version(),
        name=name or os.environ.get("III_WORKER_NAME") or f"{socket.gethostname()}:{os.getpid()}",
        os=f"{platform.system()} {platform.release()} ({platform.machine()})",
        pid=os.getpid(),
        isolation=os.environ.get("III_ISOLATION"),
        telemetry=WorkerTelemetry(
            language=os.environ.get("LANG", "").partition(".")[0] or None,
            project_name=project_name(Path.cwd()),
            framework="iii-py",
        ),
        description=description,
        features=list(FEATURES),
        dialect="0.11",
    )


@cache
def sdk_version() -> str:
    """The version of the installed distribution; `0.0.0` when it is not installed."""
    try:
        return importlib.metadata.version("agentos")
    except importlib.metadata.PackageNotFoundError:
        return "0.0.0"


def project_name(folder: Path) -> str:
    """The project name in `pyproject.toml`, else the name of the folder."""
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return folder.name
    return str(project)
