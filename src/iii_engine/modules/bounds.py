"""What options and requests of modules may hold."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

#: Zero lets the system choose.
Port = Annotated[int, Meta(ge=0, le=65535)]
#: What a record goes by: its scope or group, its key.
Key = Annotated[str, Meta(max_length=4096)]
Positive = Annotated[int, Meta(ge=1)]
#: For options whose zero means "none".
NotNegative = Annotated[int, Meta(ge=0)]
