from __future__ import annotations

import pytest

from iii_engine.core.queue_policy import Backoff, RetryPolicy


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        ("exponential", [100, 200, 400, 800, 1000, 1000]),
        ("linear", [100, 200, 300, 400, 500, 600]),
        ("fixed", [100] * 6),
    ],
)
def test_pauses(backoff: Backoff, delays: list[int]) -> None:
    policy = RetryPolicy(backoff_ms=100, backoff=backoff, max_delay_ms=1000)
    assert [policy.delay_ms(made) for made in range(1, 7)] == delays


def test_a_thousand_failures_are_no_astronomical_number() -> None:
    assert RetryPolicy().delay_ms(1000) == 3_600_000


@pytest.mark.parametrize(("attempts", "made"), [(0, 1), (1, 1), (3, 3)])
def test_there_is_always_one_attempt(attempts: int, made: int) -> None:
    policy = RetryPolicy(attempts=attempts)
    assert policy.gives_up(made)
    assert made == 1 or not policy.gives_up(made - 1)
