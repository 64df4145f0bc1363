"""Targets, and the table made of rows."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from benchmarks.report import Row, Target, number, save, table


@pytest.mark.parametrize(
    ("target", "ours", "baseline", "met"),
    [
        (Target(at_least=100), 100, None, True),
        (Target(at_least=100), 99, None, False),
        (Target(at_most=5), 5.1, 10, False),
        (Target(ratio_at_least=0.75), 74, 100, False),
        (Target(ratio_at_least=0.75), 75, 100, True),
        (Target(ratio_at_most=1.8), 19, 10, False),
        (Target(at_least=10, ratio_at_least=0.9), 20, 100, False),
        (Target(above_baseline_at_most=150), 250, 100, True),
        (Target(above_baseline_at_most=150), 251, 100, False),
    ],
)
def test_every_limit_given_must_hold(
    target: Target, ours: float, baseline: float | None, met: bool
) -> None:
    assert target.met(ours, baseline) is met


def test_a_row_is_judged_by_its_median() -> None:
    row = Row("k", "calls", "calls/s", Target(ratio_at_least=1), [1, 50, 90], [10, 40, 99], "relay")
    assert row.median == 50
    assert row.baseline_median == 40
    assert row.met


def test_a_row_that_could_not_be_measured_says_why_and_is_not_met() -> None:
    row = Row("k", "calls", "calls/s", Target(), problem="the engine ended")
    assert not row.met
    assert "no: the engine ended" in table([row])


def test_the_table_shows_spread_baseline_ratio_and_target() -> None:
    row = Row("k", "calls", "calls/s", Target(at_least=45_000), [50_000.0], [100_000.0], "relay")
    line = table([row]).splitlines()[2]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == [
        "calls",
        "calls/s",
        "50,000 (50,000–50,000)",
        "100,000 (relay)",
        "0.50",
        "≥ 45,000 calls/s",
        "yes",
    ]


def test_the_file_holds_runs_and_medians(tmp_path: Path) -> None:
    row = Row("k", "calls", "calls/s", Target(at_most=3), [1.0, 2.0, 9.0])
    path = tmp_path / "results" / "latest.json"
    save([row], path, runs=3)
    document = msgspec.json.decode(path.read_bytes())
    assert document["runs"] == 3
    assert document["rows"][0]["ours"] == [1.0, 2.0, 9.0]
    assert document["rows"][0]["median"] == 2.0
    assert document["rows"][0]["met"] is True


@pytest.mark.parametrize(("value", "text"), [(45000.4, "45,000"), (3.14159, "3.14"), (0.5, "0.5")])
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text
