"""The files below `logs`, which quote what users and models say."""

from __future__ import annotations

import os
from pathlib import Path


def open_log(path: Path) -> int:
    """A descriptor that appends to the file; a new one is for its owner only."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
