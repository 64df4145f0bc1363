"""Options of `iii-worker-manager`."""

from __future__ import annotations

from msgspec import Struct

from iii_engine.core.sizes import MIB
from iii_engine.modules.bounds import NotNegative, Port, Positive
from iii_engine.modules.worker_manager.rbac import RbacOptions


class WorkerManagerOptions(Struct, forbid_unknown_fields=True):
    """Sizes in bytes, times in milliseconds. `allowed_origins` absent: pages of this machine.

    Without `rbac` the workers of the listener are trusted.
    """

    #: 0 takes a free one.
    port: Port = 49134
    #: Address to listen on.
    host: str = "127.0.0.1"
    #: How long an upgrade may take.
    handshake_timeout_ms: Positive = 10_000
    #: A connection without any frame for so long is closed.
    worker_silence_ms: Positive = 600_000
    #: Of calls that bring no deadline; 0 for none.
    invocation_timeout_ms: NotNegative = 0
    #: Largest frame that is accepted, in bytes.
    max_message_bytes: Positive = 16 * MIB
    #: Whether messages may be compressed. Clients that offer it are always declined, which the
    #: protocol allows: within a machine it costs more than it saves.
    compression: bool = False
    #: Web pages that may connect; without it those of this machine.
    allowed_origins: list[str] | None = None
    #: Is called in place of what workers call, and decides.
    middleware_function_id: str | None = None
    #: Without it workers are trusted.
    rbac: RbacOptions | None = None
