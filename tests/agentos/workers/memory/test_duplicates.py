"""Finding near duplicates."""

from __future__ import annotations

import math
import random

from agentos.workers.memory.duplicates import find_duplicates
from agentos.workers.memory.records import Entry


def entry(entry_id: str, vector: list[float] | None, **fields: object) -> Entry:
    given = {"role": "user", "timestamp": 1, **fields}
    return Entry(id=entry_id, agent_id="a", content="c", embedding=vector, **given)  # type: ignore[arg-type]


def direction(rng: random.Random, size: int = 128) -> list[float]:
    vector = [rng.gauss(0, 1) for _ in range(size)]
    norm = math.hypot(*vector)
    return [x / norm for x in vector]


def near(rng: random.Random, vector: list[float], cosine: float) -> list[float]:
    """A unit vector at exactly this cosine."""
    other = direction(rng, len(vector))
    along = (
        math.sumprod(vector, other)
        if hasattr(math, "sumprod")
        else sum(a * b for a, b in zip(vector, other, strict=True))
    )
    across = [o - along * v for o, v in zip(other, vector, strict=True)]
    norm = math.hypot(*across)
    sine = math.sqrt(1 - cosine**2)
    return [cosine * v + sine * a / norm for v, a in zip(vector, across, strict=True)]


def test_finds_what_is_close_and_nothing_else() -> None:
    rng = random.Random(7)
    entries = [entry(str(i), direction(rng)) for i in range(300)]
    for i in range(100):
        vector = entries[i].embedding or []
        entries.append(entry(f"close-{i}", near(rng, vector, 0.975)))
        entries.append(entry(f"far-{i}", near(rng, vector, 0.96)))
    found = {
        (keep.id, repeat.id) for keep, repeats in find_duplicates(entries) for repeat in repeats
    }
    assert found == {(str(i), f"close-{i}") for i in range(100)}


def test_the_more_important_then_the_older_stays() -> None:
    vector = [1.0, 0.0, 0.5]
    entries = [
        entry("young", vector, importance=0.9, timestamp=2),
        entry("old", vector, importance=0.9, timestamp=1),
        entry("light", vector, importance=0.1, timestamp=0),
    ]
    ((keep, repeats),) = find_duplicates(entries)
    assert keep.id == "old"
    assert {repeat.id for repeat in repeats} == {"young", "light"}


def test_role_and_model_separate() -> None:
    entries = [
        entry("a", [1.0, 0.0]),
        entry("b", [1.0, 0.0], role="assistant"),
        entry("c", [1.0, 0.0, 0.0]),
        entry("d", None),
        entry("e", None),
    ]
    assert find_duplicates(entries) == []
