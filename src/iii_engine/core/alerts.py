"""Alert rules: a value, a threshold, and when to say so. No clock: the time is an argument.

A rule *holds* while its value passes the threshold. It *triggers* when it holds and its cooldown is
over: once at the start, and again after every cooldown for as long as it holds.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

#: Each comparison by the name that answers carry, with the ways to write it in a config file.
OPERATORS: Final[dict[str, tuple[Callable[[float, float], bool], tuple[str, ...]]]] = {
    "GreaterThan": (operator.gt, (">", "greaterthan")),
    "GreaterThanOrEqual": (operator.ge, (">=", "greaterthanorequal")),
    "LessThan": (operator.lt, ("<", "lessthan")),
    "LessThanOrEqual": (operator.le, ("<=", "lessthanorequal")),
    "Equal": (operator.eq, ("==", "equal")),
    "NotEqual": (operator.ne, ("!=", "notequal")),
}
_NAMES: Final = {form: name for name, (_, forms) in OPERATORS.items() for form in forms}

SECOND: Final = 1_000_000_000


def operator_name(written: str) -> str | None:
    """The name of a comparison as a config file may write it, in any case; None when unknown."""
    return _NAMES.get(written.strip().lower())


class Rule(NamedTuple):
    """What is watched. `operator` is a name of `OPERATORS`; times are in nanoseconds."""

    name: str
    metric: str
    threshold: float
    operator: str
    window_ns: int
    cooldown_ns: int


class Alert:
    """A rule with what it was found to be. Times of `judge` never go back."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.firing = False
        #: None until there was a value.
        self.value: float | None = None
        #: In the time of the last `judge` that had a value, and of the last that triggered.
        self.evaluated_ns: int | None = None
        self.triggered_ns: int | None = None

    def judge(self, value: float | None, now_ns: int) -> bool:
        """Compare the value of this moment; does the alert trigger now?

        Without a value nothing is compared, and nothing goes on firing.
        """
        if value is None:
            self.firing = False
            return False
        self.value = value
        self.evaluated_ns = now_ns
        self.firing = OPERATORS[self.rule.operator][0](value, self.rule.threshold)
        if not self.firing:
            return False
        last = self.triggered_ns
        if last is not None and now_ns - last < self.rule.cooldown_ns:
            return False
        self.triggered_ns = now_ns
        return True


class Growth:
    """How much a total grew within a window that ends now.

    It knows the total at some moments only, those of `increase`, so that the window begins at the
    last of them before it should. Memory does not grow with how often it is asked.
    """

    #: Moments kept per window.
    STEPS: Final = 60

    def __init__(self, window_ns: int, total: float, now_ns: int) -> None:
        self._window = window_ns
        self._step = max(window_ns // self.STEPS, 1)
        self._known: deque[tuple[int, float]] = deque([(now_ns, total)])

    def increase(self, total: float, now_ns: int) -> float:
        """`total` is that of now. One that fell began anew, at zero."""
        known = self._known
        if total < known[-1][1]:
            known.clear()
            known.append((now_ns, 0))
        begin = now_ns - self._window
        while len(known) > 1 and known[1][0] <= begin:
            known.popleft()
        increase = total - known[0][1]
        if now_ns - known[-1][0] >= self._step:
            known.append((now_ns, total))
        return increase


class Window:
    """The sum and the average of values that came within a window that ends now.

    Values are kept together in steps of a sixtieth of the window, so that memory does not grow with
    how many come; the window ends with its oldest step.
    """

    def __init__(self, window_ns: int) -> None:
        self._window = window_ns
        self._step = max(window_ns // Growth.STEPS, 1)
        self._steps: deque[tuple[int, int, float]] = deque()  # step, count, sum

    def add(self, value: float, now_ns: int) -> None:
        """Times never go back."""
        step = now_ns // self._step
        if self._steps and self._steps[-1][0] == step:
            _, count, total = self._steps.pop()
            self._steps.append((step, count + 1, total + value))
        else:
            self._forget(now_ns)
            self._steps.append((step, 1, value))

    def sum(self, now_ns: int) -> float | None:
        """None when nothing came."""
        self._forget(now_ns)
        return sum(total for _, _, total in self._steps) if self._steps else None

    def average(self, now_ns: int) -> float | None:
        """None when nothing came."""
        total = self.sum(now_ns)
        return None if total is None else total / sum(count for _, count, _ in self._steps)

    def _forget(self, now_ns: int) -> None:
        oldest = (now_ns - self._window) // self._step
        while self._steps and self._steps[0][0] <= oldest:
            self._steps.popleft()
