"""Globs whose only wildcard is `*`: any run of characters, the empty one too."""

from __future__ import annotations


def glob_match(pattern: str, text: str) -> bool:
    """Whether the whole of `text` matches, in linear time; upper and lower case differ."""
    if "*" not in pattern:
        return pattern == text
    first, *middle, last = pattern.split("*")
    if len(text) < len(first) + len(last) or not text.startswith(first):
        return False
    if not text.endswith(last):
        return False
    # The ends are fixed; between them each part may take its first place, which leaves most room.
    position, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True
