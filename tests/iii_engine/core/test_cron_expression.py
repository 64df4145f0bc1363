"""Cron expressions: what they mean, what is refused (engine-modules 11, cases 106 and 108)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iii_engine.core.cron_expression import MACROS, BadExpression, parse

START = datetime(2025, 1, 1)  # a Wednesday


def times(expression: str, count: int, start: datetime = START) -> list[str]:
    calendar, found = parse(expression), list[str]()
    moment: datetime | None = start
    for _ in range(count):
        assert moment is not None
        moment = calendar.first_after(moment)
        found.append("never" if moment is None else f"{moment:%y-%m-%d %H:%M:%S}")
        if moment is None:
            break
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/20 * * * * *", ["25-01-01 00:00:20", "25-01-01 00:00:40", "25-01-01 00:01:00"]),
        ("*/2 * * * *", ["25-01-01 00:02:00", "25-01-01 00:04:00"]),  # case 106
        ("0 0 0 * * 1", ["25-01-05 00:00:00", "25-01-12 00:00:00"]),  # case 108: Sundays
        ("0 0 * * 0", ["25-01-05 00:00:00", "25-01-12 00:00:00"]),
        ("0 0 * * 7", ["25-01-05 00:00:00", "25-01-12 00:00:00"]),
        ("0 0 0 ? * SUN", ["25-01-05 00:00:00", "25-01-12 00:00:00"]),
        ("0 0 0 * * mon-Wed", ["25-01-06 00:00:00", "25-01-07 00:00:00", "25-01-08 00:00:00"]),
        ("0 0 * * FRI-MON/2", ["25-01-03 00:00:00", "25-01-05 00:00:00", "25-01-10 00:00:00"]),
        ("0 0 * * 5-7", ["25-01-03 00:00:00", "25-01-04 00:00:00", "25-01-05 00:00:00"]),
        ("0 0 0 ? * 6-2", ["25-01-03 00:00:00", "25-01-04 00:00:00", "25-01-05 00:00:00"]),
        ("0 0 * * 0-7", ["25-01-02 00:00:00", "25-01-03 00:00:00"]),
        # Day of month and day of week: both with 6 fields, either with 5.
        ("0 0 0 13 * 6", ["25-06-13 00:00:00", "26-02-13 00:00:00"]),
        ("0 0 13 * 5", ["25-01-03 00:00:00", "25-01-10 00:00:00", "25-01-13 00:00:00"]),
        ("0 0 13 * *", ["25-01-13 00:00:00", "25-02-13 00:00:00"]),
        ("0 0 */15 * 1", ["25-01-06 00:00:00", "25-01-13 00:00:00", "25-01-16 00:00:00"]),
        ("5,10-12,50/4 0 0 * * *", [f"25-01-01 00:00:{s}" for s in ("05", 10, 11, 12, 50, 54, 58)]),
        ("0 15 6 1-7/3 JAN,JUL * 2027", ["27-01-01 06:15:00", "27-01-04 06:15:00"]),
        ("0 0 0 29 2 *", ["28-02-29 00:00:00", "32-02-29 00:00:00"]),
        ("0 0 0 29 2 1", ["32-02-29 00:00:00", "60-02-29 00:00:00", "88-02-29 00:00:00", "never"]),
        ("0 0 0 31 * *", ["25-01-31 00:00:00", "25-03-31 00:00:00", "25-05-31 00:00:00"]),
        ("0 0 0 1 1 * 2020", ["never"]),
        ("59 59 23 31 12 ? 2099", ["99-12-31 23:59:59", "never"]),
        ("@YEARLY", ["26-01-01 00:00:00", "27-01-01 00:00:00"]),
        ("@annually", ["26-01-01 00:00:00"]),
        ("@monthly", ["25-02-01 00:00:00", "25-03-01 00:00:00"]),
        ("@weekly", ["25-01-05 00:00:00", "25-01-12 00:00:00"]),
        ("@daily", ["25-01-02 00:00:00"]),
        (" @midnight ", ["25-01-02 00:00:00"]),
        ("@hourly", ["25-01-01 01:00:00", "25-01-01 02:00:00"]),
    ],
)
def test_modules_cases_106_and_108_times_of_expressions(
    expression: str, expected: list[str]
) -> None:
    assert times(expression, len(expected)) == expected


def test_the_time_is_strictly_later() -> None:
    assert times("0 0 0 1 1 *", 1) == ["26-01-01 00:00:00"]


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("not a cron", "expected 5, 6 or 7 fields, found 3"),
        ("* * * *", "found 4"),
        ("60 * * * * *", "second: 60 is not between 0 and 59"),
        ("* 60 * * * *", "minute: 60"),
        ("* * 24 * * *", "hour: 24"),
        ("* * * 0 * *", "day of month: 0"),
        ("* * * * 13 *", "month: 13"),
        ("* * * * FEBRUARY *", "month: 'FEBRUARY' is neither a number nor a name"),
        ("* * * * * 0", "day of week: 0 is not between 1 and 7"),
        ("* * * * 8", "day of week: 8 is not between 0 and 7"),
        ("* * * * * * 1969", "year: 1969"),
        ("30-10 * * * * *", "second: the range '30-10' ends before it begins"),
        ("*/0 * * * * *", "second: the step '0'"),
        ("*/x * * * * *", "second: the step 'x'"),
        ("*/ * * * * *", "second: the step ''"),
        ("1, * * * * *", "second: '' is neither"),
        ("-5 * * * * *", "second: '' is neither"),
        ("1-2-3 * * * * *", "second: '2-3' is neither"),
        ("٣ * * * * *", "second: '٣' is neither"),
        ("* * * L * *", "day of month: 'L' is neither"),
        ("0 0 0 30 2 *", "no such month has such a day"),
        ("0 0 31 4,6 *", "no such month has such a day"),
        ("@reboot", "there is no @reboot"),
    ],
)
def test_modules_case_106_what_is_refused(expression: str, reason: str) -> None:
    with pytest.raises(BadExpression) as refused:
        parse(expression)
    assert reason in str(refused.value)


def test_all_macros_are_expressions() -> None:
    for name in MACROS:
        parse(name)


def some(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    return st.one_of(
        st.just("*"),
        number.map(str),
        number.map(lambda n: f"{n}/7"),
        st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}"),
    )


@given(
    st.tuples(some(0, 59), some(0, 59), some(0, 23), some(1, 31), some(1, 12), some(1, 7)),
    st.datetimes(datetime(2024, 1, 1), datetime(2029, 1, 1)),
)
def test_the_first_time_after_fits_and_none_before_it_does(
    fields: tuple[str, ...], moment: datetime
) -> None:
    moment = moment.replace(microsecond=0)
    try:
        calendar = parse(" ".join(fields))
    except BadExpression:
        return
    found = calendar.first_after(moment)
    if found is None:
        return

    def fits(time: datetime) -> bool:
        return (
            time.second in calendar.seconds
            and time.minute in calendar.minutes
            and time.hour in calendar.hours
            and time.day in calendar.days
            and time.month in calendar.months
            and time.isoweekday() % 7 in calendar.weekdays
        )

    assert found > moment
    assert fits(found)
    between = min(found - moment, timedelta(minutes=10)) // timedelta(seconds=1)
    assert not any(fits(found - timedelta(seconds=n)) for n in range(1, between))
    assert not any(fits(moment + timedelta(seconds=n)) for n in range(1, between))
