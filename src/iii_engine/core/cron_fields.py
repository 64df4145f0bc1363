"""One field of a cron expression: which numbers it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final


class BadField(ValueError):
    """The text of a field means nothing; the message says why."""


@dataclass(frozen=True)
class Values:
    """The numbers of a field, sorted. `free` when the field allows everything."""

    numbers: tuple[int, ...]
    free: bool


@dataclass(frozen=True)
class Field:
    """What a field may say: its numbers, and names for them. With a `cycle` numbers come back
    after so many, and ranges may go over the end: Friday to Monday."""

    name: str
    low: int
    high: int
    names: dict[str, int] = field(default_factory=dict)
    cycle: int = 0

    def parse(self, text: str) -> Values:
        """Raises `BadField`."""
        found: set[int] = set()
        for part in text.split(","):
            found.update(self._part(part))
        numbers = tuple(sorted(found))
        return Values(numbers, len(numbers) == self.high - self.low + 1)

    def _part(self, part: str) -> Iterator[int]:
        span, slash, step_text = part.partition("/")
        step = self._step(step_text) if slash else 1
        first_text, dash, last_text = span.partition("-")
        if span in ("*", "?"):
            first, last = self.low, self.high
        elif dash:
            first, last = self._number(first_text), self._number(last_text)
        else:
            first = self._number(first_text)
            last = self.high if slash else first
        if first > last and not self.cycle:
            raise BadField(f"{self.name}: the range '{span}' ends before it begins")
        if first > last:
            last += self.cycle
        for number in range(first, last + 1, step):
            yield number if number <= self.high else number - self.cycle

    def _step(self, text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) == 0:
            raise BadField(f"{self.name}: the step '{text}' is not a number from 1")
        return int(text)

    def _number(self, text: str) -> int:
        named = self.names.get(text.upper())
        if named is not None:
            return named
        if not text.isascii() or not text.isdigit():
            raise BadField(f"{self.name}: '{text}' is neither a number nor a name")
        number = int(text)
        if not self.low <= number <= self.high:
            raise BadField(f"{self.name}: {text} is not between {self.low} and {self.high}")
        return number


MONTH_NAMES: Final = {
    name: number
    for number, name in enumerate(
        ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), 1
    )
}
DAY_NAMES: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")

SECOND: Final = Field("second", 0, 59)
MINUTE: Final = Field("minute", 0, 59)
HOUR: Final = Field("hour", 0, 23)
DAY: Final = Field("day of month", 1, 31)
MONTH: Final = Field("month", 1, 12, MONTH_NAMES)
YEAR: Final = Field("year", 1970, 2099)
