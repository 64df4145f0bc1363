"""The local times that a cron expression stands for. Nothing here knows about zones."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

#: No expression reaches further.
LAST_YEAR: Final = 2099

_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True)
class Calendar:
    """All numbers sorted; weekdays count from Sunday, which is 0.

    A day must be in `days` and `weekdays`; with `either_day` one of them is enough.
    """

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    years: tuple[int, ...]
    either_day: bool = False

    def first_after(self, moment: datetime) -> datetime | None:
        """The first time after a whole second, both without a zone; None when there is none."""
        start = moment + _SECOND
        if self._has(start.date()):
            clock = self._from(start.hour, start.minute, start.second)
            if clock is not None:
                return datetime.combine(start.date(), clock)
        day = self._day_after(start.date())
        if day is None:
            return None
        return datetime.combine(day, time(self.hours[0], self.minutes[0], self.seconds[0]))

    def _from(self, hour: int, minute: int, second: int) -> time | None:
        """The first time of a day that is not before this one."""
        for h in self.hours[bisect_left(self.hours, hour) :]:
            if h > hour:
                return time(h, self.minutes[0], self.seconds[0])
            for m in self.minutes[bisect_left(self.minutes, minute) :]:
                if m > minute:
                    return time(h, m, self.seconds[0])
                place = bisect_left(self.seconds, second)
                if place < len(self.seconds):
                    return time(h, m, self.seconds[place])
        return None

    def _day_after(self, day: date) -> date | None:
        day += _DAY
        while day.year <= LAST_YEAR:
            if day.year not in self.years:
                day = date(day.year + 1, 1, 1)
            elif day.month not in self.months:
                day = (day.replace(day=28) + 4 * _DAY).replace(day=1)
            elif self._has(day):
                return day
            else:
                day += _DAY
        return None

    def _has(self, day: date) -> bool:
        if day.month not in self.months or day.year not in self.years:
            return False
        of_month = day.day in self.days
        of_week = day.isoweekday() % 7 in self.weekdays
        return of_month or of_week if self.either_day else of_month and of_week
