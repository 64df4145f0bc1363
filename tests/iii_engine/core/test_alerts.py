"""Alert rules: comparison, cooldown, and the growth of totals within a window."""

from __future__ import annotations

import pytest

from iii_engine.core.alerts import OPERATORS, SECOND, Alert, Growth, Rule, Window, operator_name


def rule(operator: str = "GreaterThan", threshold: float = 2) -> Rule:
    return Rule("errors", "m", threshold, operator, 60 * SECOND, 60 * SECOND)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (">", "GreaterThan"),
        (" >= ", "GreaterThanOrEqual"),
        ("LessThan", "LessThan"),
        ("lessthanorequal", "LessThanOrEqual"),
        ("==", "Equal"),
        ("NOTEQUAL", "NotEqual"),
        ("=>", None),
        ("", None),
    ],
)
def test_comparisons_may_be_written_as_signs_or_words(written: str, name: str | None) -> None:
    assert operator_name(written) == name


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("GreaterThan", (False, False, True)),
        ("GreaterThanOrEqual", (False, True, True)),
        ("LessThan", (True, False, False)),
        ("LessThanOrEqual", (True, True, False)),
        ("Equal", (False, True, False)),
        ("NotEqual", (True, False, True)),
    ],
)
def test_each_comparison_below_at_and_above_the_threshold(
    name: str, holds: tuple[bool, ...]
) -> None:
    assert tuple(Alert(rule(name)).judge(value, 0) for value in (1, 2, 3)) == holds
    assert name in OPERATORS


def test_it_triggers_at_once_and_again_after_each_cooldown() -> None:
    alert = Alert(rule())
    triggered = [alert.judge(3, second * SECOND) for second in range(0, 150, 10)]
    assert [second * 10 for second, yes in enumerate(triggered) if yes] == [0, 60, 120]
    assert alert.firing
    assert (alert.value, alert.evaluated_ns, alert.triggered_ns) == (
        3,
        140 * SECOND,
        120 * SECOND,
    )


def test_the_cooldown_goes_on_while_the_rule_does_not_hold() -> None:
    alert = Alert(rule())
    assert alert.judge(3, 0)
    assert not alert.judge(1, 10 * SECOND)
    assert not alert.firing
    assert not alert.judge(3, 20 * SECOND)
    assert alert.firing
    assert alert.judge(3, 60 * SECOND)


def test_without_a_value_nothing_is_evaluated_and_nothing_fires() -> None:
    alert = Alert(rule())
    assert not alert.judge(None, 5)
    assert alert.evaluated_ns is None
    alert.judge(3, 10)
    assert not alert.judge(None, 20)
    assert not alert.firing
    assert (alert.value, alert.evaluated_ns) == (3, 10)


def test_growth_counts_what_came_within_the_window_only() -> None:
    growth = Growth(60 * SECOND, 100, 0)
    assert growth.increase(103, 10 * SECOND) == 3
    assert growth.increase(103, 60 * SECOND) == 3
    assert growth.increase(104, 70 * SECOND) == 1
    assert growth.increase(104, 1000 * SECOND) == 0


def test_a_total_that_fell_began_anew() -> None:
    growth = Growth(60 * SECOND, 100, 0)
    assert growth.increase(7, 10 * SECOND) == 7
    assert growth.increase(8, 20 * SECOND) == 8


def test_growth_remembers_no_more_when_it_is_asked_more_often() -> None:
    growth = Growth(60 * SECOND, 0, 0)
    for moment in range(10_000):
        growth.increase(moment, moment * SECOND // 100)
    assert len(growth._known) <= Growth.STEPS + 2


def test_a_window_sums_and_averages_what_came_within_it() -> None:
    window = Window(60 * SECOND)
    assert window.sum(0) is None
    assert window.average(0) is None
    window.add(1, 0)
    window.add(2, SECOND // 2)
    window.add(9, 30 * SECOND)
    assert (window.sum(59 * SECOND), window.average(59 * SECOND)) == (12, 4)
    assert window.sum(60 * SECOND) == 9
    assert window.sum(90 * SECOND) is None


def test_a_window_remembers_no_more_when_more_comes() -> None:
    window = Window(60 * SECOND)
    for moment in range(100_000):
        window.add(1, moment * SECOND // 100)
    assert len(window._steps) <= Growth.STEPS + 1
    assert window.sum(999 * SECOND) == pytest.approx(6000, abs=101)
