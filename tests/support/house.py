"""AgentOS as the programs that people use: `agentos start` and its other commands, in one home."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.support.servers import free_port
from tests.support.waiting import until_sync

from agentos.host.home import Home, HomeError
from agentos.host.state import RunState, read_run_state

#: A test's system hears nothing of the one that may run on this machine.
FOREIGN = ("AGENTOS_", "III_", "OTEL_", "OPENAI_", "ANTHROPIC_", "LLM_", "OLLAMA_", "VLLM_")
#: Seconds for a command that is not `start`.
PATIENCE = 30.0


class House:
    """One home. `variables` are added to the environment of every command."""

    def __init__(self, root: Path, **variables: str) -> None:
        self.home = Home(root)
        self.engine_port, self.api_port = free_ports(2)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)} | {
            "AGENTOS_HOME": str(root),
            "AGENTOS_ENGINE_PORT": str(self.engine_port),
            "AGENTOS_HTTP_PORT": str(self.api_port),
            **variables,
        }
        self.supervisor: subprocess.Popen[str] | None = None

    @property
    def output(self) -> str:
        """What `agentos start` has printed."""
        return self._log.read_text("utf-8", "replace")

    @property
    def _log(self) -> Path:
        return self.home.root.with_name(f"{self.home.root.name}-start.log")

    @property
    def state(self) -> RunState:
        state = read_run_state(self.home)
        assert state is not None
        return state

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    def processes(self) -> list[int]:
        """The engine and the hosts."""
        return [self.state.engine_pid, *self.state.hosts.values()]

    # -- commands --------------------------------------------------------------------------------

    def agentos(
        self, *arguments: str, text: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `text` is its standard input."""
        return subprocess.run(
            self._command(*arguments),
            input=text,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def begin(self) -> subprocess.Popen[str]:
        """`agentos start` in the foreground; returns at once."""
        with self._log.open("w") as log:
            self.supervisor = subprocess.Popen(
                self._command("start"), stdout=log, stderr=log, env=self.environment, text=True
            )
        return self.supervisor

    def start(self) -> None:
        """Start it, and wait until everything is up."""
        supervisor = self.begin()

        def up() -> bool:
            assert supervisor.poll() is None, self.output
            return "AgentOS is up" in self.output

        until_sync(up, "AgentOS is up", PATIENCE)

    def stop(self) -> int:
        """End it as Ctrl+C does; the exit code."""
        assert self.supervisor is not None
        self.supervisor.send_signal(signal.SIGINT)
        return self.supervisor.wait(PATIENCE)

    def close(self) -> None:
        """End what still runs."""
        state = None
        with suppress(HomeError):
            state = read_run_state(self.home)
        if self.supervisor is not None and self.supervisor.poll() is None:
            self.stop()
        for pid in [] if state is None else [state.engine_pid, *state.hosts.values()]:
            if pid and running(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "agentos.cli.main", *arguments]


def running(pid: int) -> bool:
    """Whether there is such a process, other than a dead one that nobody has buried."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def all_ended(pids: list[int]) -> None:
    """Wait until none of the processes runs."""
    until_sync(lambda: not any(map(running, pids)), "all have ended", PATIENCE)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    return [free_port() for _ in range(count)]
