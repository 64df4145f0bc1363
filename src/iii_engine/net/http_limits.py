"""What an HTTP client may take: room and time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HttpLimits:
    """Sizes in bytes, times in seconds."""

    head_bytes: int = 64 * 1024
    head_lines: int = 128
    target_bytes: int = 16 * 1024
    head_seconds: float = 10.0  # for the whole head
    body_seconds: float = 30.0  # between two pieces of a body
    stall_seconds: float = 30.0  # without progress in sending an answer
    idle_seconds: float = 75.0  # between two requests
    linger_seconds: float = 2.0  # for a refused body to stop coming
