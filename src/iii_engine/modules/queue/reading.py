"""How much of a queue is read together: not too much for memory, nor for a tick of the loop."""

from __future__ import annotations

from typing import Final

from iii_engine.core.queue_room import WINDOW

#: Records.
RECORDS: Final = WINDOW

#: Their bytes; a single record may be larger.
BYTES: Final = 4 << 20
