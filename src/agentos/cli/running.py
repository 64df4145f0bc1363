"""Starting and stopping the system from the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import typer
import yaml

from agentos.cli.client import CommandError
from agentos.host.home import Home
from agentos.host.log_file import open_log
from agentos.host.settings import read_settings
from agentos.host.state import read_run_state
from agentos.host.supervisor import Supervisor, is_running

DETACH_SECONDS = 40.0
STOP_SECONDS = 35.0

_EXAMPLE = """
  curl {api}/v1/chat/completions \\
    -H "Authorization: Bearer {key}" -H 'Content-Type: application/json' \\
    -d '{{"model":"default","messages":[{{"role":"user","content":"Hello"}}]}}'
"""


def start_here() -> int:
    """Run the supervisor in this process until it is told to stop."""
    home = Home.from_environment()
    home.prepare()
    os.environ["AGENTOS_HOME"] = str(home.root)
    made = home.api_key() is None
    os.environ["AGENTOS_API_KEY"] = home.ensure_api_key()
    placement = read_settings(home.settings).placement()
    engine_url, api_url = addresses(home)
    os.environ["III_URL"] = engine_url
    began = time.monotonic()

    def announce() -> None:
        count = sum(len(workers) for workers in placement.values())
        seconds = time.monotonic() - began
        typer.echo(
            typer.style("✓", fg="green") + f" AgentOS is up: {count} workers, {seconds:.2f} s"
        )
        typer.echo(f"  API     {api_url}")
        typer.echo(f"  Engine  {engine_url}")
        typer.echo(f"  Home    {home.root}")
        typer.echo(f"  Key     {home.key_file}" + (" (made now)" if made else ""))
        typer.echo(_EXAMPLE.format(api=api_url, key=_key_expression(home)))

    return Supervisor(home, placement, engine_url, api_url, typer.echo, announce).run()


def start_detached() -> int:
    """Start the supervisor in the background and return when the system is up."""
    home = Home.from_environment()
    home.prepare()
    try:
        log = open_log(home.logs / "supervisor.log")
    except OSError as error:
        raise CommandError(f"cannot write into {home.logs}: {error.strerror}") from None
    with os.fdopen(log, "ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "agentos.cli.main", "start"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + DETACH_SECONDS
    while time.monotonic() < deadline:
        state = read_run_state(home)
        if state is not None and state.pid == process.pid:
            typer.echo(typer.style("✓", fg="green") + f" AgentOS is up at {state.api_url}")
            return 0
        if process.poll() is not None:
            lines = (home.logs / "supervisor.log").read_text(errors="replace").splitlines()
            raise CommandError(lines[-1].lstrip("✗ ") if lines else "it ended at once")
        time.sleep(0.02)
    raise CommandError(f"it did not come up within {DETACH_SECONDS:g} s; see {home.logs}")


def stop_running(home: Home) -> None:
    """Ask the supervisor to stop and wait until it has."""
    state = read_run_state(home)
    if state is None or not is_running(home):
        home.state_file.unlink(missing_ok=True)  # a killed supervisor leaves it behind
        raise CommandError(f"nothing runs from {home.root}")
    typer.echo(typer.style("→", fg="blue") + " Stopping …")
    try:
        os.kill(state.pid, signal.SIGTERM)
    except ProcessLookupError:
        home.state_file.unlink(missing_ok=True)
        raise CommandError(f"nothing runs from {home.root} any more") from None
    deadline = time.monotonic() + STOP_SECONDS
    while home.state_file.exists():
        if time.monotonic() > deadline:
            raise CommandError(f"process {state.pid} did not stop within {STOP_SECONDS:g} s")
        time.sleep(0.02)
    typer.echo(typer.style("✓", fg="green") + " AgentOS stopped.")


def addresses(home: Home) -> tuple[str, str]:
    """Engine and API address, from the engine's config file and the environment."""
    engine = _port_from("AGENTOS_ENGINE_PORT") or _port(home, "iii-worker-manager", 49134)
    api = _port_from("AGENTOS_HTTP_PORT") or _port(home, "iii-http", 3111)
    return f"ws://127.0.0.1:{engine}", f"http://127.0.0.1:{api}"


def _port_from(variable: str) -> int | None:
    text = os.environ.get(variable)
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 65535:
        raise CommandError(f"{variable} must be a port (1 to 65535), not {text!r}", 2)
    return int(text)


def _port(home: Home, module: str, default: int) -> int:
    """The port that the config names in plain; one that comes from the environment is not set."""
    try:
        document = yaml.safe_load(home.engine_config.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return default  # the engine says what is wrong with it
    entries = document.get("workers") if isinstance(document, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("name") == module:
            config = entry.get("config")
            port = config.get("port") if isinstance(config, dict) else None
            if isinstance(port, int):
                return port
    return default


def _key_expression(home: Home) -> str:
    return f"$(cat {home.key_file})" if home.key_file.exists() else "$AGENTOS_API_KEY"
