"""What may run in a Docker sandbox, and the command line that runs it. Pure.

The container gets no privileges, no writable system, no network unless asked for; the checks here
refuse everything that would widen that.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import msgspec
from msgspec import Struct

from iii_sdk import Forbidden, InvalidInput

#: Exactly these; another tag of the same image is another image.
IMAGES = (
    "agentos-sandbox",
    "node:20-slim",
    "python:3.12-slim",
    "rust:1-slim",
    "ubuntu:22.04",
    "ubuntu:24.04",
)
BLOCKED_ROOTS = (
    "/etc",
    "/var",
    "/root",
    "/proc",
    "/sys",
    "/dev",
    "/boot",
    "/bin",
    "/sbin",
    "/lib",
    "/run",
)
BLOCKED_ENV = ("DOCKER_", "KUBERNETES_", "AWS_", "AZURE_", "GCP_", "HOME", "PATH")
NETWORKS = ("none", "bridge")
MAX_MEMORY = 2 * 1024**3
MIN_MEMORY = 6 * 1024**2  # what the daemon itself demands
MAX_CPUS = 4.0
MAX_TIMEOUT_S = 600

_MEMORY = re.compile(r"(\d{1,15})([bkmg]?)b?", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


class DockerExec(Struct, rename="camel"):
    """`timeout_secs` is clamped to 1..600, memory to 2g, CPUs to 4; `env` holds `NAME=value`."""

    command: list[str] = []
    image: str = "ubuntu:22.04"
    memory_limit: str = "256m"
    cpu_limit: str | float = "1.0"
    network_mode: str = "none"
    workspace_path: str | None = None
    timeout_secs: int = 30
    env: list[str] = msgspec.field(default_factory=list)


def workspace_root() -> Path:
    """`AGENTOS_WORKSPACE`, else the working directory; symbolic links resolved."""
    return Path(os.environ.get("AGENTOS_WORKSPACE") or Path.cwd()).resolve()


def _check_workspace(path: str, root: Path) -> Path:
    """The real path of the workspace, which lies in `root` and in no system folder."""
    if ".." in path or not path.startswith("/"):
        raise Forbidden("Blocked workspace path")
    for candidate in (Path(os.path.normpath(path)), Path(path).resolve()):
        if candidate == Path("/") or any(candidate.is_relative_to(b) for b in BLOCKED_ROOTS):
            raise Forbidden("Blocked workspace path")
    real = Path(path).resolve()
    if not real.is_relative_to(root):
        raise Forbidden("Blocked workspace path: it is not in AGENTOS_WORKSPACE")
    if ":" in str(real):  # would read as further fields of docker's -v
        raise Forbidden("Blocked workspace path: it contains ':'")
    return real


def _check_env(items: list[str]) -> None:
    for item in items:
        name, equals, _ = item.partition("=")
        if not equals:
            raise InvalidInput(f"Env var must contain '=': {item}")
        if not name or name.upper().startswith(BLOCKED_ENV):
            raise Forbidden(f"Blocked env var: {name}")


def _memory(text: str) -> str:
    """Bytes, clamped, in docker's form."""
    match = _MEMORY.fullmatch(text.strip())
    if match is None:
        raise InvalidInput("$.memoryLimit: expected a size such as 256m")
    size = int(match[1]) * _UNITS[match[2].lower()]
    if size <= MAX_MEMORY:
        return text.strip() if size >= MIN_MEMORY else f"{MIN_MEMORY}b"
    return "2g"


def _cpus(given: str | float) -> str:
    try:
        cpus = float(given)
    except ValueError:
        cpus = 0.0
    if not math.isfinite(cpus) or cpus <= 0:
        raise InvalidInput("$.cpuLimit: expected a number above 0")
    return str(given) if cpus <= MAX_CPUS else str(MAX_CPUS)


def timeout_of(request: DockerExec) -> int:
    """Seconds, clamped."""
    return min(max(request.timeout_secs, 1), MAX_TIMEOUT_S)


def run_arguments(request: DockerExec, name: str, root: Path) -> list[str]:
    """The arguments of `docker` that run the request in a container called `name`.

    `root` is the folder that a workspace must lie in. Raises `InvalidInput` or `Forbidden`.
    """
    if not request.command:
        raise InvalidInput("command must not be empty")
    if request.image not in IMAGES:
        allowed = ", ".join(IMAGES)
        raise Forbidden(f"Docker image not allowed: {request.image}. Allowed: [{allowed}]")
    workspace = None
    if request.workspace_path is not None:
        workspace = _check_workspace(request.workspace_path, root)
    _check_env(request.env)
    if request.network_mode not in NETWORKS:
        raise Forbidden(f"Network mode not allowed: {request.network_mode}. Allowed: none, bridge")
    arguments = ["run", "--rm", "--name", name]
    arguments += ["--memory", _memory(request.memory_limit), "--cpus", _cpus(request.cpu_limit)]
    arguments += ["--network", request.network_mode, "--pids-limit", "256", "--read-only"]
    arguments += ["--security-opt", "no-new-privileges", "--cap-drop", "ALL"]
    arguments += ["--user", "65534:65534", "--tmpfs", "/tmp:size=64m"]
    if workspace is not None:
        arguments += ["-v", f"{workspace}:/workspace:rw", "-w", "/workspace"]
    for item in request.env:
        arguments += ["-e", item]
    return [*arguments, request.image, *request.command]
