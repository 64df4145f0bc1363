"""All rules with their values: evaluated together, listed, replaced when the options change."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from iii_engine.core.alerts import Alert, Rule
from iii_engine.core.engine import Engine
from iii_engine.modules.observability.alerts.rules import Action
from iii_engine.modules.observability.alerts.values import Value
from iii_engine.modules.observability.metrics.series import Change


class AlertRow(Struct):
    """Times are milliseconds since the epoch."""

    name: str
    firing: bool
    last_evaluated: int
    last_triggered: int | None
    current_value: float
    threshold: float
    operator: str


class Triggered(Struct):
    """An alert that has something to say now."""

    name: str
    metric: str
    value: float
    threshold: float
    operator: str
    firing: bool
    timestamp: int


class Watch:
    """The rules in force. A rule that stays as it is keeps its state when others change."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._watched: dict[Rule, tuple[Alert, Value]] = {}
        self._actions: dict[str, Action] = {}

    def use(self, rules: Sequence[tuple[Rule, Action]]) -> None:
        known = self._watched
        self._watched = {
            rule: known.get(rule) or (Alert(rule), Value(self._engine, rule.metric, rule.window_ns))
            for rule, _ in rules
        }
        self._actions = {rule.name: action for rule, action in rules}

    def take(self, changes: Sequence[Change]) -> None:
        for _, value in self._watched.values():
            value.take(changes)

    def evaluate(self) -> list[tuple[Triggered, Action]]:
        """Judge every rule; those that trigger, with what is to be done."""
        clock = self._engine.clock
        now_ns, now_ms = clock.monotonic_ns(), clock.now_ns() // 1_000_000
        found = []
        for rule, (alert, value) in self._watched.items():
            current = value.now()
            if alert.judge(current, now_ns) and current is not None:
                triggered = Triggered(
                    rule.name, rule.metric, current, rule.threshold, rule.operator, True, now_ms
                )
                found.append((triggered, self._actions[rule.name]))
        return found

    def rows(self) -> list[AlertRow]:
        """The rules that ever had a value."""
        ahead = self._engine.clock.now_ns() - self._engine.clock.monotonic_ns()
        found = []
        for rule, (alert, _) in self._watched.items():
            if alert.evaluated_ns is not None and alert.value is not None:
                triggered = alert.triggered_ns
                found.append(
                    AlertRow(
                        rule.name,
                        alert.firing,
                        (alert.evaluated_ns + ahead) // 1_000_000,
                        None if triggered is None else (triggered + ahead) // 1_000_000,
                        alert.value,
                        rule.threshold,
                        rule.operator,
                    )
                )
        return found
