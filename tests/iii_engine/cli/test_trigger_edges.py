"""`iii` where the world is not as it should be."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.support.servers import free_port

IMPATIENT_SECONDS = 8.0


def iii(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "iii_engine", *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_port_that_refuses_is_not_waited_for() -> None:
    began = time.monotonic()
    done = iii("trigger", "f", "--address", "127.0.0.1", "--port", str(free_port()))
    assert time.monotonic() - began < IMPATIENT_SECONDS
    assert done.returncode == 1
    assert "Is the engine running" in done.stderr


def test_a_payload_that_is_nested_too_deeply() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    done = iii("trigger", "f", "--json", "-", text=deep)
    assert done.returncode == 1
    assert done.stderr == "Invalid JSON payload: it is nested too deeply\n"


def test_check_refuses_what_a_start_refuses(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    for module, adapter in (
        ("iii-state", "{name: kv, config: {bogus: 1}}"),
        ("iii-state", "{name: nope}"),
        ("iii-pubsub", "{name: nope}"),
    ):
        config.write_text(f"workers:\n  - name: {module}\n    config: {{adapter: {adapter}}}\n")
        done = iii("--config", str(config), "--check")
        assert done.returncode == 1, done.stdout
        assert f"failed to create worker '{module}'" in done.stderr
        assert "bogus" in done.stderr or "nope" in done.stderr


def test_output_that_nobody_reads_is_no_traceback(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("workers: []\n")
    command = f"{sys.executable} -m iii_engine --config {config} --check | true"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=30, check=False
    )
    assert "Traceback" not in done.stderr
