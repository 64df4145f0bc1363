"""Options of `iii-worker-manager`."""

from __future__ import annotations

from msgspec import Struct

from iii_engine.modules.bounds import NotNegative, Port, Positive
from iii_engine.modules.worker_manager.rbac import RbacOptions


class WorkerManagerOptions(Struct, forbid_unknown_fields=True):
    """Sizes in bytes, times in milliseconds. `allowed_origins` absent: pages of this machine.

    Without `rbac` the workers of the listener are trusted.
    """

    port: Port = 49134
    host: str = "127.0.0.1"
    handshake_timeout_ms: Positive = 10_000
    worker_silence_ms: Positive = 600_000
    invocation_timeout_ms: NotNegative = 0
    max_message_bytes: Positive = 16 * 1024 * 1024
    allowed_origins: list[str] | None = None
    middleware_function_id: str | None = None
    rbac: RbacOptions | None = None
