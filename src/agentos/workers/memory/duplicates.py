"""Finding entries that say the same, without comparing each with each. Pure.

The signs of a vector's components make a signature; vectors that point the same way differ in few
signs. Entries that share a band of eight signs are candidates, and only those are compared. At the
threshold of 0.97 about one sign in thirteen differs, and the chance that a pair of 128 components
shares none of its 16 bands is below one in ten thousand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

from agentos.workers.memory.records import Entry
from agentos.workers.memory.scoring import cosine

THRESHOLD = 0.97
BAND = 8
#: Pairs with more differing signs, as a part of all, are not compared: 0.97 makes 0.08 likely.
MAX_DIFFERENCE = 0.25


def _signature(vector: Sequence[float]) -> int:
    bits = 0
    for value in vector:
        bits = bits << 1 | (value > 0)
    return bits


def _candidates(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Pairs of one role and length of vector that share a band of signs; some pairs repeat."""
    buckets: dict[tuple[str, int, int, int], list[tuple[int, Entry]]] = defaultdict(list)
    for entry in entries:
        if not entry.embedding:
            continue
        size = len(entry.embedding)
        signature = _signature(entry.embedding)
        for shift in range(0, size, BAND):
            band = (signature >> shift) & ((1 << BAND) - 1)
            buckets[entry.role, size, shift, band].append((signature, entry))
    for (_, size, _, _), members in buckets.items():
        limit = int(MAX_DIFFERENCE * size)
        for (a, first), (b, second) in combinations(members, 2):
            if (a ^ b).bit_count() <= limit:
                yield first, second


def find_duplicates(entries: Sequence[Entry]) -> list[tuple[Entry, list[Entry]]]:
    """Groups of one to keep, the more important and then the older, and those that repeat it."""
    gone: set[str] = set()
    groups: dict[str, tuple[Entry, list[Entry]]] = {}
    compared: set[tuple[str, str]] = set()
    ranked = sorted(entries, key=lambda entry: (-entry.importance, entry.timestamp))
    rank = {entry.id: place for place, entry in enumerate(ranked)}
    for pair in _candidates(ranked):
        keep, drop = sorted(pair, key=lambda entry: rank[entry.id])
        if keep.id in gone or drop.id in gone or (keep.id, drop.id) in compared:
            continue
        compared.add((keep.id, drop.id))
        if drop.id in groups or cosine(keep.embedding or [], drop.embedding or []) <= THRESHOLD:
            continue
        gone.add(drop.id)
        groups.setdefault(keep.id, (keep, []))[1].append(drop)
    return list(groups.values())
