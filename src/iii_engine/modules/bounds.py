"""Numbers in the options of modules."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

#: Zero lets the system choose.
Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1)]
#: For options whose zero means "none".
NotNegative = Annotated[int, Meta(ge=0)]
