"""Options of `iii-worker-manager`."""

from __future__ import annotations

from msgspec import Struct


class WorkerManagerOptions(Struct, forbid_unknown_fields=True):
    """Sizes in bytes, times in milliseconds. `allowed_origins` absent: pages of this machine."""

    port: int = 49134
    host: str = "127.0.0.1"
    handshake_timeout_ms: int = 10_000
    worker_silence_ms: int = 600_000
    invocation_timeout_ms: int = 0
    max_message_bytes: int = 16 * 1024 * 1024
    allowed_origins: list[str] | None = None
