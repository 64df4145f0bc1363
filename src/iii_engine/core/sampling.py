"""Which traces are recorded: decided where a trace begins, and kept to all the way down."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

#: Names of spans whose rate is remembered; more than these begin anew.
MAX_KNOWN = 10_000


class Rule(NamedTuple):
    """What matches both patterns is recorded at this rate (0 to 1). None matches everything."""

    operation: str | None
    service: str | None
    rate: float

    def matches(self, names: tuple[str, ...], service: str) -> bool:
        return (self.service is None or like(self.service, service)) and (
            self.operation is None or any(like(self.operation, name) for name in names)
        )


def like(pattern: str, text: str) -> bool:
    """Whether the whole text has the form of the pattern: `*` any run, `?` any character."""
    parts = {"*": ".*", "?": "."}
    expression = "".join(parts.get(c) or re.escape(c) for c in re.sub(r"\*+", "*", pattern))
    return re.fullmatch(expression, text, re.DOTALL) is not None


def kept(trace_id: str, rate: float) -> bool:
    """The same answer for a trace wherever it is asked: by the last 64 bits of its id."""
    return rate >= 1 or int(trace_id[16:], 16) < rate * (1 << 64)


class Bucket:
    """At most `per_second` in the long run, and as many at once after a pause (at least one)."""

    def __init__(self, per_second: float, monotonic_ns: Callable[[], int]) -> None:
        self._rate = per_second * 1e-9
        self._size = max(1.0, per_second) if per_second > 0 else 0.0
        self._tokens = self._size
        self._now = monotonic_ns
        self._filled_ns = monotonic_ns()

    def take(self) -> bool:
        now = self._now()
        self._tokens = min(self._size, self._tokens + (now - self._filled_ns) * self._rate)
        self._filled_ns = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Sampler:
    """The first rule that matches decides, `ratio` where none does.

    `follow` lets spans below others share their lot; `limit` is asked last, for new traces only.
    """

    def __init__(
        self,
        service: str,
        ratio: float,
        rules: Sequence[Rule] = (),
        *,
        follow: bool = True,
        limit: Bucket | None = None,
    ) -> None:
        self._service = service
        self._ratio = ratio
        self._rules = rules
        self._follow = follow
        self._limit = limit
        self._rates: dict[tuple[str, str], float] = {}

    def begins(self, trace_id: str, name: str, alias: str = "") -> bool:
        """Whether a trace that begins with the span `name` is recorded.

        One event may be two spans at once: rules for either name apply.
        """
        if not kept(trace_id, self._rate(name, alias)):
            return False
        return self._limit is None or self._limit.take()

    def goes_on(self, trace_id: str, name: str, alias: str, recorded: bool) -> bool:
        """Whether a span is recorded whose parent was, or was not."""
        return recorded if self._follow else kept(trace_id, self._rate(name, alias))

    def accepts(self, trace_id: str, name: str, service: str) -> bool:
        """Whether the trace that another service began with the span `name` is recorded here.

        It has decided for itself already; only a rule that is meant for it takes it out.
        """
        rule = next((r for r in self._rules if r.matches((name,), service)), None)
        return rule is None or kept(trace_id, rule.rate)

    def _rate(self, name: str, alias: str) -> float:
        rate = self._rates.get((name, alias))
        if rate is None:
            names = (name, alias) if alias else (name,)
            rule = next((r for r in self._rules if r.matches(names, self._service)), None)
            rate = self._ratio if rule is None else rule.rate
            if len(self._rates) >= MAX_KNOWN:
                self._rates.clear()
            self._rates[name, alias] = rate
        return rate
