"""Refusals come later and later (wire protocol 1.4)."""

from __future__ import annotations

import pytest

from iii_engine.core import refusals
from iii_engine.core.clock import VirtualClock
from iii_engine.core.refusals import Refusals


def test_each_refusal_of_an_address_is_later_up_to_ten_seconds() -> None:
    seen = Refusals(VirtualClock().now_ns)
    assert [seen.delay("a") for _ in range(8)] == [0, 1, 2, 4, 8, 10, 10, 10]
    assert seen.delay("b") == 0


def test_an_address_is_forgotten_after_a_minute_without_attempt() -> None:
    clock = VirtualClock()
    seen = Refusals(clock.now_ns)
    assert [seen.delay("a"), seen.delay("a")] == [0, 1]
    clock.advance(59)
    assert seen.delay("a") == 2
    clock.advance(60)
    assert seen.delay("a") == 0


def test_the_quietest_address_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MAX_ADDRESSES", 2)
    seen = Refusals(VirtualClock().now_ns)
    for address in ("a", "b", "a", "c"):
        seen.delay(address)
    assert seen.delay("a") == 2
    assert seen.delay("b") == 0
