from __future__ import annotations

import gc
from typing import Any

import pytest
from tests.support.pieces import Loop

from iii_engine.modules.queue.broker import Done
from iii_engine.modules.queue.gathering import TOGETHER, gather


def doubled(item: int, done: Done[int]) -> None:
    done(2 * item, None)


@pytest.mark.parametrize("count", [0, 1, TOGETHER, 3 * TOGETHER + 1])
def test_so_many_are_asked_for_in_one_turn(count: int) -> None:
    loop, asked, answers = Loop(), [0], list[list[int] | None]()

    def ask(item: int, done: Done[int]) -> None:
        asked[-1] += 1
        doubled(item, done)

    gather(range(count), ask, loop.soon, lambda found, _: answers.append(found))
    asked.append(0)
    while loop.turn():
        asked.append(0)
    assert answers == [[2 * number for number in range(count)]]
    assert (sum(asked), max(asked) <= TOGETHER) == (count, True)


def test_answers_may_come_in_any_order() -> None:
    waiting: list[Done[int]] = []
    answers: list[Any] = []
    loop = Loop()
    gather(
        "ab", lambda _, done: waiting.append(done), loop.soon, lambda *told: answers.append(told)
    )
    waiting[1](1, None)
    assert answers == []
    waiting[0](0, None)
    assert answers == [([0, 1], None)]


def test_the_first_error_is_the_answer() -> None:
    answers: list[Any] = []
    error = OSError()

    def ask(item: int, done: Done[int]) -> None:
        done(None, error)

    gather([1, 2], ask, Loop().soon, lambda *told: answers.append(told))
    assert answers == [(None, error)]


def test_nothing_is_left_to_the_garbage_collector() -> None:
    """Ten thousand topics are that many gatherings, and a collection of them takes long."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            gather([1, 2], doubled, Loop().soon, lambda *_: None)
        assert gc.collect() < 100
    finally:
        gc.enable()
