"""The key of the audit chain."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from iii_sdk.errors import NotConfigured

log = logging.getLogger("agentos.security")


def key_file() -> Path:
    """`data/audit.key` below `AGENTOS_HOME` (default `~/.agentos`)."""
    home = os.environ.get("AGENTOS_HOME")
    return (Path(home) if home else Path.home() / ".agentos") / "data" / "audit.key"


def _create(path: Path) -> None:
    """Write 32 random bytes to `path`, mode 0600, whole or not at all; an existing file stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(32))
        file.flush()
        os.fsync(file.fileno())
    try:
        # A link fails where a rename would replace the key of a process that was faster.
        os.link(draft, path)
        log.warning("AUDIT_HMAC_KEY is not set: made a random audit key in %s", path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


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
