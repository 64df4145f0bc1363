"""The key of the audit chain."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from agentos.kernel.secret_file import write_secret
from iii_sdk.errors import NotConfigured

log = logging.getLogger("agentos.security")


def key_file() -> Path:
    """`data/audit.key` below `AGENTOS_HOME` (default `~/.agentos`)."""
    home = os.environ.get("AGENTOS_HOME")
    return (Path(home) if home else Path.home() / ".agentos") / "data" / "audit.key"


def _create(path: Path) -> None:
    """Write 32 random bytes to `path`; an existing file stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if write_secret(path, secrets.token_bytes(32)):
        log.warning("AUDIT_HMAC_KEY is not set: made a random audit key in %s", path)


def audit_key() -> bytes:
    """`AUDIT_HMAC_KEY` as UTF-8, else the key of this installation, made at the first call."""
    if configured := os.environ.get("AUDIT_HMAC_KEY"):
        return configured.encode()
    path = key_file()
    try:
        if not path.exists():
            _create(path)
        key = path.read_bytes()
    except OSError as error:
        raise NotConfigured(
            f"the audit key {path} cannot be used: {error.strerror}; set AUDIT_HMAC_KEY"
        ) from error
    if len(key) < 16:
        raise NotConfigured(f"the audit key {path} is too short; remove it or set AUDIT_HMAC_KEY")
    return key
