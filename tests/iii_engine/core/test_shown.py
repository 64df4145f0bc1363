"""What the log quotes."""

from __future__ import annotations

from iii_engine.core.shown import MOST, shown


def test_short_texts_are_shown_whole_and_long_ones_with_their_length() -> None:
    assert shown("a" * MOST) == "a" * MOST
    assert shown("a" * 5000) == "a" * MOST + "… (5000 characters)"
