from __future__ import annotations

import pytest

from iii_engine.core.departures import REMEMBERED, Departures


def test_who_had_a_function_last_counts() -> None:
    departed = Departures()
    assert "f" not in departed
    departed.note("f", "")
    assert ("f" in departed, departed.trusted("f")) == (True, True)
    departed.note("f", "guests")
    assert ("f" in departed, departed.trusted("f")) == (True, False)
    departed.forget("f")
    assert "f" not in departed


@pytest.mark.parametrize("party", ["", "guests"])
def test_the_latest_of_each_kind_are_remembered(party: str) -> None:
    departed = Departures()
    departed.note("other kind", "" if party else "guests")
    for number in range(REMEMBERED + 2):
        departed.note(f"f{number}", party)
    assert [f"f{number}" in departed for number in (0, 1, 2)] == [False, False, True]
    assert "other kind" in departed
