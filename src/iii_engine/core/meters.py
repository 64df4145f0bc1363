"""Numbers about the engine: what its parts count and measure, for whoever asks.

A part takes an instrument by its name once and counts on it where things happen; that costs one
dictionary access. What is known anyway, say the depth of a queue, is observed instead: a function
is asked for it when somebody looks, so it costs nothing meanwhile. Instruments outlive the modules
that count on them, as totals must not start again with a hot reload; observers leave with theirs.

An instrument has named attributes and keeps one series for each combination of their values, at
most `MAX_SERIES`; further combinations share one whose values are `OVERFLOW`. Attributes that
clients choose freely do not belong here.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar

log = logging.getLogger("iii.meters")

#: Combinations of attribute values that one instrument tells apart.
MAX_SERIES: Final = 1000
#: The value of every attribute of the series that the others share.
OVERFLOW: Final = "other"

#: Upper bounds of durations in seconds, each one part of its bucket.
SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

Labels: TypeAlias = tuple[str, ...]
Kind: TypeAlias = Literal["counter", "gauge", "histogram", "updowncounter"]


class Distribution(NamedTuple):
    """Values by size: `counts[i]` of them were at most `bounds[i]`, the last ones more."""

    total: int
    sum: float
    counts: tuple[int, ...]
    bounds: tuple[float, ...]
    min: float | None = None
    max: float | None = None


#: One series: the values of the attributes, and the number or distribution.
Point: TypeAlias = tuple[Labels, float | Distribution]
#: Tells the series of an instrument when asked.
Observer: TypeAlias = Callable[[], Iterable[Point]]


class Reading(NamedTuple):
    """All series of one instrument at one moment. Counters and histograms count since the start."""

    name: str
    kind: Kind
    unit: str
    description: str
    labels: Labels
    points: list[Point]


class Instrument:
    """What all kinds share. `labels` are the names of the attributes."""

    kind: Kind

    def __init__(self, name: str, labels: Labels, unit: str, description: str) -> None:
        self.name = name
        self.labels = labels
        self.unit = unit
        self.description = description

    def points(self) -> Iterable[Point]:
        raise NotImplementedError


class Counter(Instrument):
    """A total that only grows: `counter.add("GET", "200")`, one value for each attribute."""

    kind: Kind = "counter"

    def __init__(self, name: str, labels: Labels, unit: str, description: str) -> None:
        super().__init__(name, labels, unit, description)
        self._totals: dict[Labels, float] = {}

    def add(self, *values: str, amount: float = 1) -> None:
        totals = self._totals
        total = totals.get(values)
        if total is None:
            values = _series(self, values, len(totals))
            total = totals.get(values, 0)
        totals[values] = total + amount

    def points(self) -> Iterator[Point]:
        yield from self._totals.items()


class Histogram(Instrument):
    """How values are spread: `histogram.record(0.2, "orders")`."""

    kind: Kind = "histogram"

    def __init__(
        self, name: str, labels: Labels, unit: str, description: str, bounds: tuple[float, ...]
    ) -> None:
        super().__init__(name, labels, unit, description)
        self._bounds = bounds
        self._spreads: dict[Labels, _Spread] = {}

    def record(self, value: float, *values: str) -> None:
        spread = self._spreads.get(values)
        if spread is None:
            values = _series(self, values, len(self._spreads))
            spread = self._spreads.setdefault(values, _Spread(len(self._bounds) + 1))
        spread.counts[bisect_left(self._bounds, value)] += 1
        spread.sum += value
        spread.min = min(spread.min, value)
        spread.max = max(spread.max, value)

    def points(self) -> Iterator[Point]:
        for values, spread in self._spreads.items():
            counts = tuple(spread.counts)
            yield (
                values,
                Distribution(sum(counts), spread.sum, counts, self._bounds, spread.min, spread.max),
            )


class _Spread:
    __slots__ = ("counts", "max", "min", "sum")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.sum = 0.0
        self.min = float("inf")
        self.max = float("-inf")


class Observed(Instrument):
    """An instrument that has nothing of its own: its observers are asked."""

    def __init__(self, name: str, labels: Labels, unit: str, description: str, kind: Kind) -> None:
        super().__init__(name, labels, unit, description)
        self.kind = kind
        self.observers: dict[Observation, Observer] = {}

    def points(self) -> Iterator[Point]:
        """Those of an observer that fails are missing."""
        for observe in list(self.observers.values()):
            try:
                yield from islice(observe(), MAX_SERIES)
            except Exception:
                log.exception("%s could not be observed", self.name)


class Observation:
    """That an observer is asked, until `end`; also a second time."""

    __slots__ = ("_instrument",)

    def __init__(self, instrument: Observed) -> None:
        self._instrument = instrument

    def end(self) -> None:
        self._instrument.observers.pop(self, None)


I = TypeVar("I", bound=Instrument)  # noqa: E741  (an instrument)


class Meters:
    """All instruments of an engine, by name. Asking for one that exists returns it.

    Raises `ValueError` when the name is one of another kind, or with other attributes.
    """

    def __init__(self) -> None:
        self._instruments: dict[str, Instrument] = {}

    def counter(
        self, name: str, labels: Labels = (), *, unit: str = "", description: str = ""
    ) -> Counter:
        return self._take(Counter(name, labels, unit, description))

    def histogram(
        self,
        name: str,
        labels: Labels = (),
        *,
        unit: str = "s",
        description: str = "",
        bounds: tuple[float, ...] = SECONDS,
    ) -> Histogram:
        """`bounds` ascend; they count when the name is new."""
        return self._take(Histogram(name, labels, unit, description, bounds))

    def observe(
        self,
        name: str,
        observer: Observer,
        labels: Labels = (),
        *,
        kind: Kind = "gauge",
        unit: str = "",
        description: str = "",
    ) -> Observation:
        """Ask `observer` for the series of this name, beside its other observers."""
        instrument = self._take(Observed(name, labels, unit, description, kind))
        observation = Observation(instrument)
        instrument.observers[observation] = observer
        return observation

    def collect(self, *kinds: Kind) -> Iterator[Reading]:
        """All of these kinds (none: of all) as they are now, but for those without any series."""
        for it in list(self._instruments.values()):
            if kinds and it.kind not in kinds:
                continue
            points = list(it.points())
            if points:
                yield Reading(it.name, it.kind, it.unit, it.description, it.labels, points)

    def reading(self, name: str) -> Reading | None:
        """One instrument as it is now; None when there is none of this name."""
        it = self._instruments.get(name)
        if it is None:
            return None
        return Reading(it.name, it.kind, it.unit, it.description, it.labels, list(it.points()))

    def _take(self, wanted: I) -> I:
        known = self._instruments.setdefault(wanted.name, wanted)
        if (
            type(known) is not type(wanted)
            or known.kind != wanted.kind
            or known.labels != wanted.labels
        ):
            raise ValueError(
                f"{wanted.name} is a {known.kind} with the attributes {known.labels} already"
            )
        return known


def _series(instrument: Instrument, values: Labels, known: int) -> Labels:
    """The series that a new combination of values counts on."""
    if len(values) != len(instrument.labels):
        raise ValueError(f"{instrument.name} has the attributes {instrument.labels}, not {values}")
    if known < MAX_SERIES:
        return values
    return (OVERFLOW,) * len(values)
