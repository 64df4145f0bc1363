"""The home folder: configuration, credentials, data, logs and what runs now."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from agentos.kernel.secret_file import write_secret

ENGINE_CONFIG = """\
# The engine of this AgentOS. Written once; yours to edit. ${NAME:default} reads the environment.
workers:
  - name: iii-worker-manager
    config:
      host: 127.0.0.1
      port: ${AGENTOS_ENGINE_PORT:49134}
  - name: iii-state
    config:
      adapter:
        name: kv
        config:
          store_method: file_based
          file_path: ${AGENTOS_HOME}/data/state
  - name: iii-queue
    config:
      adapter:
        name: builtin
        config:
          store_method: file_based
          file_path: ${AGENTOS_HOME}/data/state
  - name: iii-pubsub
  - name: iii-cron
  - name: iii-http
    config:
      host: 127.0.0.1
      port: ${AGENTOS_HTTP_PORT:3111}
      default_timeout: 300000
      cors:
        allowed_origins: ["http://localhost:3111", "http://127.0.0.1:3111"]
"""


class HomeError(Exception):
    """The home folder cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Home:
    """Paths below `AGENTOS_HOME`, and the two secrets-free files that a first start writes."""

    root: Path

    @classmethod
    def from_environment(cls) -> Home:
        """`AGENTOS_HOME`, by default `~/.agentos`."""
        return cls(Path(os.environ.get("AGENTOS_HOME") or Path.home() / ".agentos").absolute())

    @property
    def engine_config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def settings(self) -> Path:
        return self.root / "config.toml"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def key_file(self) -> Path:
        return self.root / "credentials" / "api_key"

    @property
    def lock_file(self) -> Path:
        return self.root / "run" / "supervisor.lock"

    @property
    def state_file(self) -> Path:
        """JSON about the running system, see `RunState`."""
        return self.root / "run" / "state.json"

    def prepare(self) -> None:
        """Create what is missing; nothing that exists is changed."""
        try:
            for folder in ("data", "logs", "run"):
                (self.root / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
            self.key_file.parent.mkdir(mode=0o700, exist_ok=True)
            if not self.engine_config.exists():
                draft = self.engine_config.with_suffix(".new")  # whole, or not at all
                draft.write_text(ENGINE_CONFIG)
                draft.replace(self.engine_config)
            if self.engine_config.stat().st_size == 0:
                raise HomeError(f"{self.engine_config} is empty: remove it for a new one")
        except OSError as error:
            raise HomeError(f"cannot prepare {self.root}: {error.strerror}") from error

    def api_key(self) -> str | None:
        """`AGENTOS_API_KEY`, else the key made at first start, else None."""
        if key := os.environ.get("AGENTOS_API_KEY"):
            return key
        try:
            return self.key_file.read_text().strip() or None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise HomeError(f"cannot read {self.key_file}: {error.strerror}") from error

    def ensure_api_key(self) -> str:
        """The key of this installation; made now, readable by its owner only, if there is none.

        Raises `HomeError`.
        """
        if key := self.api_key():
            return key
        try:
            write_secret(self.key_file, f"ak_{secrets.token_urlsafe(32)}\n".encode())
        except OSError as error:
            raise HomeError(f"cannot write {self.key_file}: {error.strerror}") from error
        key = self.api_key()  # perhaps of a start that was faster
        if key is None:
            raise HomeError(f"{self.key_file} is empty: remove it, and a new key is made")
        return key
