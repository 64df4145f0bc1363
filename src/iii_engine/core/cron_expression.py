"""Cron expressions: text to calendar.

With 6 or 7 fields (second first, perhaps a year last) weekdays are 1–7 from Sunday, and a day must
fit both day fields. With 5 fields weekdays are 0–7, both ends Sunday, and when both day fields say
something either is enough.
"""

from __future__ import annotations

from typing import Final

from iii_engine.core.cron_calendar import Calendar
from iii_engine.core.cron_fields import (
    DAY,
    DAY_NAMES,
    HOUR,
    MINUTE,
    MONTH,
    SECOND,
    YEAR,
    BadField,
    Field,
    Values,
)

MACROS: Final = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 1",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}

#: Weekdays as 1–7 and as 0–7.
_FROM_1: Final = Field("day of week", 1, 7, {n: i for i, n in enumerate(DAY_NAMES, 1)}, cycle=7)
_FROM_0: Final = Field("day of week", 0, 7, {n: i for i, n in enumerate(DAY_NAMES)}, cycle=7)

_LONGEST_MONTHS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class BadExpression(ValueError):
    """The text is no cron expression; the message says why."""


def parse(text: str) -> Calendar:
    """Raises `BadExpression`."""
    if text.strip().startswith("@"):
        macro = MACROS.get(text.strip().lower())
        if macro is None:
            raise BadExpression(f"there is no {text.strip()}; there are {', '.join(MACROS)}")
        text = macro
    fields = text.split()
    try:
        calendar = _calendar(fields)
    except BadField as bad:
        raise BadExpression(str(bad)) from None
    if not calendar.either_day and not any(
        calendar.days[0] <= _LONGEST_MONTHS[month - 1] for month in calendar.months
    ):
        raise BadExpression("no such month has such a day")
    return calendar


def _calendar(fields: list[str]) -> Calendar:
    if len(fields) not in (5, 6, 7):
        raise BadExpression(f"expected 5, 6 or 7 fields, found {len(fields)}")
    short = len(fields) == 5
    second, minute, hour, day, month, weekday = (["0"] if short else []) + fields[:6]
    days = DAY.parse(day)
    weekdays = _weekdays(weekday, from_0=short)
    return Calendar(
        SECOND.parse(second).numbers,
        MINUTE.parse(minute).numbers,
        HOUR.parse(hour).numbers,
        days.numbers,
        MONTH.parse(month).numbers,
        weekdays.numbers,
        YEAR.parse(fields[6] if len(fields) == 7 else "*").numbers,
        either_day=short and not days.free and not weekdays.free,
    )


def _weekdays(text: str, *, from_0: bool) -> Values:
    """From Sunday, which is 0."""
    field, shift = (_FROM_0, 0) if from_0 else (_FROM_1, 1)
    numbers = sorted({(number - shift) % 7 for number in field.parse(text).numbers})
    return Values(tuple(numbers), len(numbers) == 7)
