from __future__ import annotations

import random

import pytest
from tests.support.pieces import longest

from iii_engine.modules.sorting import RUN, Sorted, Values

#: Pairs of which many have the same first number.
PAIRS = [(number * 7919 % 100, number) for number in range(3 * RUN + 10)]


def found(*, descending: bool, wanted: int | None, offset: int = 0) -> list[tuple[int, int]]:
    made: Sorted[tuple[int, int]] = Sorted(lambda p: p[0], descending=descending, wanted=wanted)
    for pair in PAIRS:
        made.add(pair)
    assert len(made) == len(PAIRS)
    page = list(made.page(offset))
    assert longest(page) <= RUN
    return [pair for pair in page if pair is not None]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("wanted", [None, 0, 1, RUN, 2 * RUN + 5, 10 * RUN])
@pytest.mark.parametrize("offset", [0, 3, 2 * RUN])
def test_pages_are_those_of_a_stable_sort(
    descending: bool, wanted: int | None, offset: int
) -> None:
    expected = sorted(PAIRS, key=lambda pair: pair[0], reverse=descending)[offset:wanted]
    assert found(descending=descending, wanted=wanted, offset=offset) == expected


def test_what_is_skipped_is_skipped_in_pieces_too() -> None:
    made: Sorted[int] = Sorted(int)
    for number in range(3 * RUN):
        made.add(number)
    assert list(made.page(3 * RUN - 1)) == [None, None, 3 * RUN - 1]


def test_numbers() -> None:
    numbers = [random.Random(1).random() for _ in range(2 * RUN + 1)]
    values = Values()
    for number in numbers:
        values.add(number)
    assert values.ascending() == sorted(numbers)
    assert Values().ascending() == []
