"""How much an entry is worth keeping, estimated from its text. Pure."""

from __future__ import annotations

import re

BASE = 0.5
LONG = 500
_WEIGHTY = re.compile(r"\b(?:error|bug|fix|critical|important)\b", re.IGNORECASE)


def estimate_importance(content: str, role: str) -> float:
    """0.5 to 0.95: more for an assistant's words, long texts, trouble and code."""
    score = BASE
    if role == "assistant":
        score += 0.1
    if len(content) > LONG:
        score += 0.1
    if _WEIGHTY.search(content):
        score += 0.15
    if "```" in content:
        score += 0.1
    return round(min(score, 1.0), 4)
