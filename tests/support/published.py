"""The published clients, as programs of their own that do what a test tells them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

FOLDER: Final = Path(__file__).parent.parent / "conformance"
NODE_PACKAGE: Final = FOLDER / "node" / "node_modules" / "iii-sdk"


class PublishedClient:
    """A running program with a connection of its own; one call at a time."""

    def __init__(
        self, command: list[str], url: str, name: str, folder: Path, *arguments: str
    ) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("III_", "OTEL_"))}
        environment["III_URL"] = url  # where the Python client sends its telemetry
        self._log = (folder / f"{name or 'nameless'}.log").open("w+")
        self._process = subprocess.Popen(
            [*command, url, name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
            cwd=folder,
        )

    def call(
        self, function_id: str, payload: Any = None, *, action: str = "none", timeout_ms: int = 5000
    ) -> dict[str, Any]:
        """`{"result": …}` or `{"error": {"code", "message"}}`, as the client reported it."""
        return self.command(
            {
                "function_id": function_id,
                "payload": payload,
                "action": action,
                "timeoutMs": timeout_ms,
            }
        )

    def command(self, command: dict[str, Any]) -> dict[str, Any]:
        """Let the program do something; what it answered."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise AssertionError(f"the client ended: {self._log.read()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> int:
        """End of input ends the program by itself; its exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            return self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._process.stdout.close()
            self._log.close()


def python_client(url: str, name: str, folder: Path, program: str = "worker.py") -> PublishedClient:
    """`iii-sdk` of PyPI."""
    return PublishedClient([sys.executable, str(FOLDER / "python" / program)], url, name, folder)


def node_client(
    url: str, name: str, folder: Path, options: dict[str, Any] | None = None
) -> PublishedClient:
    """`iii-sdk` of npm. Without Node.js the test cannot run; continuous integration has it.

    `options` are those of `registerWorker`, besides the name.
    """
    node = shutil.which("node")
    if node is None or not NODE_PACKAGE.exists():
        if os.environ.get("CI"):
            raise AssertionError("Node.js or the npm client is missing: run `make setup`")
        pytest.skip("Node.js or the npm client is not installed: run `make setup`")
    program = [node, str(FOLDER / "node" / "worker.mjs")]
    return PublishedClient(program, url, name, folder, "node", json.dumps(options or {}))


#: Every published client that must work, by the prefix of its function ids.
CLIENTS: Final = {
    "py-0.11.6": ("python", "0.11.6"),
    "py-0.25.0": ("python", "0.25.0"),
    "js-0.11.2": ("node-0.11.2", "0.11.2"),
    "js-0.11.6": ("node", "0.11.6"),
    "js-0.22.1": ("node-0.22.1", "0.22.1"),
}


def published_client(
    kind: str, url: str, folder: Path, name: str | None = None, program: str = "worker"
) -> PublishedClient:
    """A client of `CLIENTS`; `kind` is the prefix of its function ids and its worker's name.

    With an empty `name` the worker takes the client's default. `program` is what it runs.
    """
    where, version = CLIENTS[kind]
    if where == "python":
        python = sys.executable
        if version != "0.11.6":
            python = str(Path(sys.prefix) / f"iii-{version.rsplit('.', 1)[0]}" / "bin" / "python")
        command = [python, str(FOLDER / "python" / f"{program}.py")]
        installed = Path(python).exists()
    else:
        command = [shutil.which("node") or "", str(FOLDER / where / f"{program}.mjs")]
        installed = bool(command[0]) and (FOLDER / where / "node_modules" / "iii-sdk").exists()
    if not installed:
        if os.environ.get("CI"):
            raise AssertionError(f"the client {kind} is missing: run `make setup`")
        pytest.skip(f"the client {kind} is not installed: run `make setup`")
    return PublishedClient(command, url, kind if name is None else name, folder, kind)
