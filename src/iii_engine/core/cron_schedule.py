"""When a job is due: instants, in nanoseconds since the Unix epoch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final, Protocol

from iii_engine.core.cron_calendar import Calendar

NS: Final = 1_000_000_000
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Schedule(Protocol):
    def next_after(self, instant_ns: int) -> int | None:
        """The first instant later than this one; None when there is none."""
        ...


@dataclass(frozen=True)
class InZone:
    """The local times of a calendar in a zone.

    A local time that the clocks skip is the first instant after the gap; one that comes twice
    counts the first time only.
    """

    calendar: Calendar
    zone: tzinfo

    def next_after(self, instant_ns: int) -> int | None:
        second = instant_ns // NS
        local: datetime | None = datetime.fromtimestamp(second, self.zone).replace(tzinfo=None)
        while local is not None:
            local = self.calendar.first_after(local.replace(fold=0))
            if local is not None and (found := first_instant(local, self.zone)) > second:
                return found * NS
        return None


@dataclass(frozen=True)
class Every:
    """At equal distances from `anchor_ns`."""

    interval_ns: int
    anchor_ns: int

    def next_after(self, instant_ns: int) -> int | None:
        steps = (instant_ns - self.anchor_ns) // self.interval_ns + 1
        return self.anchor_ns + steps * self.interval_ns


def first_instant(local: datetime, zone: tzinfo) -> int:
    """When the clocks of the zone first show this time or a later one; seconds since the epoch."""
    early = local.replace(tzinfo=zone, fold=0)
    late = early.replace(fold=1)
    if _offset(late) <= _offset(early):
        return int(early.timestamp())
    # Skipped: read with the offset after the jump it lies before the jump, and the other way round.
    low, high = int(late.timestamp()), int(early.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(datetime.fromtimestamp(middle, zone)) == _offset(early):
            low = middle
        else:
            high = middle
    return high


def _offset(moment: datetime) -> timedelta:
    offset = moment.utcoffset()
    assert offset is not None
    return offset


def parse_interval(text: str) -> int:
    """`30s`, `5m`, `6h` or `1d` in nanoseconds. Raises `ValueError`."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text.strip(), re.ASCII)
    if match is None:
        raise ValueError("expected a whole number from 1 and a unit, such as 30s, 5m, 6h or 1d")
    return int(match[1]) * _UNITS[match[2]] * NS
