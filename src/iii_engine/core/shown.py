"""What the log quotes of words that peers chose: the log is not theirs to fill."""

from __future__ import annotations

from typing import Final

#: Characters of an id, a name or a message of an error that a line of the log may hold.
MOST: Final = 1000


def shown(text: str) -> str:
    """The text as a line of the log has it: of a long one the beginning, and how long it is."""
    return text if len(text) <= MOST else f"{text[:MOST]}… ({len(text)} characters)"
