"""Real engines for tests: in this process, or as a program that can be killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.servers import free_port
from tests.support.waiting import PATIENCE, until_sync

from iii_engine.app import App
from iii_engine.config.entries import Config, Entry, default
from iii_engine.core.engine import Engine

LISTENERS = ("iii-worker-manager", "iii-http", "iii-stream")


class RunningEngine:
    """An `App` in the test's own loop, on free ports of the loopback interface.

    `options` maps a module's name to its config; one that is no default module is added. After
    `restart` the ports are the same.
    """

    def __init__(self, options: dict[str, dict[str, Any]] | None = None) -> None:
        self._config = loopback(default(), options or {})
        self.app: App

    async def start(self) -> None:
        self.app = App(self._config)
        await self.app.start()
        ports = {
            name: {"port": module.address[1]}
            for name, module in self.app.modules.items()
            if module.address is not None
        }
        self._config = loopback(self._config, ports)

    async def stop(self) -> None:
        await self.app.stop(grace=0)

    def configure(self, options: dict[str, dict[str, Any]]) -> None:
        """Change options from the next start on."""
        self._config = loopback(self._config, options)

    async def restart(self) -> None:
        """Stop, and start a new engine on the same ports. What was in memory is gone."""
        await self.stop()
        await self.start()

    @property
    def config(self) -> Config:
        """What it would be started with now."""
        return self._config

    @property
    def core(self) -> Engine:
        return self.app.engine

    @property
    def url(self) -> str:
        return "ws://{}:{}".format(*self.app.address)

    @property
    def http_url(self) -> str:
        address = self.app.modules["iii-http"].address
        assert address is not None
        return "http://{}:{}".format(*address)

    @property
    def stream_url(self) -> str:
        address = self.app.modules["iii-stream"].address
        assert address is not None
        return "ws://{}:{}".format(*address)


def loopback(config: Config, options: dict[str, dict[str, Any]]) -> Config:
    """The config with listeners on free loopback ports, and with these options."""
    known = {entry.name for entry in config.entries}
    added = tuple(Entry(name, name.partition("#")[0]) for name in options if name not in known)
    return replace(
        config,
        entries=tuple(_with_options(entry, options) for entry in (*config.entries, *added)),
    )


def _with_options(entry: Entry, options: dict[str, dict[str, Any]]) -> Entry:
    base: dict[str, Any] = {}
    if entry.kind in LISTENERS:
        base = {"host": "127.0.0.1", "port": free_port()}  # not 0: it may come back to that port
    return replace(entry, config={**base, **entry.config, **options.get(entry.name, {})})


class EngineProcess:
    """`python -m iii_engine` with a durable store in `folder`, which survives a kill.

    Ports are the same ones at each start, unless the config names others. The methods block for the
    tenths of a second that they take; in a coroutine use `asyncio.to_thread`.
    """

    def __init__(self, folder: Path, config: str | None = None) -> None:
        self._folder = folder
        self._config = config
        self._ports = {name: free_port() for name in LISTENERS}
        self._process: subprocess.Popen[bytes] | None = None
        self._runs = 0
        self.arguments: list[str] = []

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._ports['iii-worker-manager']}"

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self._ports['iii-http']}"

    @property
    def stream_url(self) -> str:
        return f"ws://127.0.0.1:{self._ports['iii-stream']}"

    @property
    def port(self) -> int:
        """Of the worker listener."""
        return self._ports["iii-worker-manager"]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> str:
        """What the latest run wrote to stdout and stderr."""
        return self._log.read_text("utf-8", "replace")

    @property
    def _log(self) -> Path:
        return self._folder / f"engine-{self._runs}.log"

    def start(self) -> None:
        """Start the program and wait until it says that everything is ready."""
        self._runs += 1
        path = self._folder / "config.yaml"
        path.write_text(self._config or self._default_config())
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("III_", "OTEL_"))}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "iii_engine", "--config", str(path), *self.arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env=environment,
            )
        until_sync(self._ready, "the engine is ready")
        for name in LISTENERS:
            if found := re.search(rf"^module {name} listening on \S+:(\d+)$", self.output, re.M):
                self._ports[name] = int(found[1])

    def _ready(self) -> bool:
        assert self._process is not None
        if (code := self._process.poll()) is not None:
            raise AssertionError(f"the engine ended with {code}: {self.output}")
        return (
            re.search(r"^module iii-worker-manager listening .*\n", self.output, re.M) is not None
        )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal and return at once."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL: no chance to finish anything."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM and wait; the exit code."""
        return self._end(signal.SIGTERM)

    def close(self) -> None:
        """End it if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _end(self, number: signal.Signals) -> int:
        self.signal(number)
        assert self._process is not None
        return self._process.wait(PATIENCE)

    def _default_config(self) -> str:
        worker, http, stream = (self._ports[name] for name in LISTENERS)
        return f"""
workers:
  - name: iii-worker-manager
    config: {{host: 127.0.0.1, port: {worker}}}
  - name: iii-http
    config: {{host: 127.0.0.1, port: {http}}}
  - name: iii-state
    config:
      adapter: {{name: kv, config: {{store_method: file_based, file_path: ./data/state}}}}
  - name: iii-stream
    config: {{host: 127.0.0.1, port: {stream}}}
  - name: iii-queue
  - name: iii-http-functions
    config:
      security:
        url_allowlist: [localhost, 127.0.0.1]
        block_private_ips: false
        require_https: false
"""
