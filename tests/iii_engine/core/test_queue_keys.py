from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from iii_engine.core.clock import SeededIds
from iii_engine.core.queue_keys import LATEST, Keys, delayed_key, due_of, time_of


@given(st.lists(st.integers(0, LATEST), min_size=2))
def test_keys_grow_whatever_the_clock_does(times: list[int]) -> None:
    keys = Keys(SeededIds(1))
    made = [keys.make(now) for now in times]
    assert made == sorted(set(made))


def test_keys_have_the_form_of_version_4_uuids() -> None:
    key = Keys(SeededIds(1)).make(1_700_000_000_123)
    assert str(uuid.UUID(key)) == key
    assert (uuid.UUID(key).version, uuid.UUID(key).variant) == (4, uuid.RFC_4122)
    assert time_of(key) == 1_700_000_000_123


def test_keys_follow_those_of_an_earlier_engine() -> None:
    earlier = Keys(SeededIds(1))
    last = [earlier.make(5000) for _ in range(3)][-1]
    keys = Keys(SeededIds(2))
    keys.follow(time_of(last))
    keys.follow(10)
    assert keys.make(4000) > last


def test_who_is_ahead_comes_before_those_of_that_time() -> None:
    keys = Keys(SeededIds(1))
    first, second = keys.make(1000), keys.make(2000)
    assert first < keys.make(3000, 1500) < second
    assert keys.make(4000, -1000) > keys.make(4500)
    assert time_of(keys.make(5000, 10**9)) == 0
    assert time_of(keys.make(5000, -(10**18))) == LATEST


def test_delayed_keys_are_in_the_order_they_are_due() -> None:
    keys = [delayed_key(due, "id") for due in (9, 10, 1_700_000_000_000)]
    assert keys == sorted(keys)
    assert [due_of(key) for key in keys] == [9, 10, 1_700_000_000_000]
