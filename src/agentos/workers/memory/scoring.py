"""How well an entry answers a query. Pure.

The score has five parts, which add up to 1: closeness in meaning, words of the query found, how
recent, how important, how certain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul

MEANING = 0.5
WORDS = 0.25
RECENCY = 0.1
IMPORTANCE = 0.1
CONFIDENCE = 0.05

#: Recency falls to 1/e in this many milliseconds: a week.
RECENCY_MS = 168 * 3_600_000


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    """The inner product; both of one length."""
    product: float = sum(map(mul, a, b))
    return product


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    """-1..1; 0 for unequal lengths, empty or zero vectors, and where numbers are not finite."""
    if len(a) != len(b):
        return 0.0
    norms = math.sqrt(dot(a, a)) * math.sqrt(dot(b, b))
    if not (0 < norms < math.inf):
        return 0.0
    return min(1.0, max(-1.0, dot(a, b) / norms))


def unit(vector: Sequence[float]) -> list[float]:
    """The vector scaled to length 1; `[]` when it has no direction."""
    norm = math.sqrt(dot(vector, vector))
    return [value / norm for value in vector] if 0 < norm < math.inf else []


def query_words(query: str) -> list[str]:
    """The distinct words of a query, lower-case, in order."""
    return list(dict.fromkeys(query.lower().split()))


def found_words(words: Sequence[str], lowered: str) -> float:
    """The part of the words that occur in a lower-case text, also inside other words."""
    if not words:
        return 0.0
    return sum(word in lowered for word in words) / len(words)


def recency(age_ms: float) -> float:
    """1 for now, falling to 0; the future counts as now."""
    return math.exp(-max(age_ms, 0.0) / RECENCY_MS)


def recall_score(
    *, meaning: float, words: float, age_ms: float, importance: float, confidence: float
) -> float:
    """The recall score. `meaning` is the cosine, `words` the part of the query words found."""
    return (
        MEANING * meaning
        + WORDS * words
        + RECENCY * recency(age_ms)
        + IMPORTANCE * importance
        + CONFIDENCE * confidence
    )


def search_score(words: float, age_ms: float) -> float:
    """The score of one entry in a search over sessions."""
    return 0.7 * words + 0.3 * recency(age_ms)
