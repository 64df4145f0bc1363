"""Digests of contents, and the embedding that needs no model.

The embedding is that of the `embedding` worker without a model: it never uses the interpreter's
salted hash, so vectors stored yesterday compare with those of today.
"""

from __future__ import annotations

import hashlib
import math

DIMENSIONS = 128
_SIGN = 1 << 31
_WORD = 1 << 32


def content_hash(content: str) -> str:
    """SHA-256 of the UTF-8 text, lower-case hex; the key of the pointer to an entry."""
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


def word_hash(word: str) -> int:
    """`h = 31·h + unit` over UTF-16 code units, wrapped to a signed 32-bit number."""
    units = word.encode("utf-16-le", "surrogatepass")
    value = 0
    for low, high in zip(units[::2], units[1::2], strict=True):
        value = (31 * value + low + 256 * high) % _WORD
    return value - _WORD if value >= _SIGN else value


def hash_embed(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """A unit vector of `text`; zeros when there is no word in it.

    Component i is the mean of sin(hash·(i+1)) over the words, then all is scaled to length 1.
    Case, order of words and kind of white space make no difference.
    """
    hashes = [word_hash(word) for word in text.lower().split()]
    count = len(hashes) or 1
    raw = [sum([math.sin(value * i) for value in hashes]) / count for i in range(1, dimensions + 1)]
    norm = math.hypot(*raw)
    return [component / norm for component in raw] if norm else raw
