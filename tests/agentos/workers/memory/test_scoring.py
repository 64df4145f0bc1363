"""The recall score."""

from __future__ import annotations

import math

import pytest

from agentos.workers.memory.scoring import (
    cosine,
    found_words,
    query_words,
    recall_score,
    search_score,
    unit,
)

HOUR = 3_600_000


@pytest.mark.parametrize(
    ("meaning", "words", "hours", "importance", "score"),
    [(0, 1, 0, 0.5, 0.45), (1, 1, 0, 0.5, 0.95), (0, 0.5, 168, 0.6, 0.2718)],
)
def test_memory_case_6(
    meaning: float, words: float, hours: int, importance: float, score: float
) -> None:
    assert recall_score(
        meaning=meaning, words=words, age_ms=hours * HOUR, importance=importance, confidence=1
    ) == pytest.approx(score, abs=5e-5)


def test_the_future_is_not_better_than_now() -> None:
    assert search_score(1, -HOUR) == search_score(1, 0) == 1


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 2, 3], [1, 2, 3], 1),
        ([1, 0], [-1, 0], -1),
        ([1, 0], [0, 1], 0),
        ([1, 2], [1], 0),
        ([], [], 0),
        ([0, 0], [1, 2], 0),
        ([1, math.nan, 3], [1, 2, 3], 0),
        ([math.inf], [1], 0),
    ],
)
def test_cosine(a: list[float], b: list[float], expected: float) -> None:
    assert cosine(a, b) == pytest.approx(expected)


def test_words() -> None:
    assert query_words("The  the\tREACT hook") == ["the", "react", "hook"]
    assert found_words(["react", "vue"], "reactive code") == 0.5
    assert found_words([], "text") == 0


def test_unit() -> None:
    assert unit([3, 4]) == [0.6, 0.8]
    assert unit([0, 0]) == unit([math.nan]) == unit([]) == []
