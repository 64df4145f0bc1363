"""Alerts as a part of the module."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from iii_engine.core.timers import Timer
from iii_engine.modules.observability.alerts.delivery import Delivery
from iii_engine.modules.observability.alerts.rules import FunctionAction, read_rules
from iii_engine.modules.observability.alerts.watch import AlertRow, Triggered, Watch
from iii_engine.modules.observability.part import Nothing, Part
from iii_engine.modules.observability.settings import Settings

EVALUATE_SECONDS: Final = 10
NO_RULES: Final = "Alert manager not initialized"


class AlertsListing(Struct, omit_defaults=True):
    """`message` says when there are no rules."""

    alerts: list[AlertRow]
    firing_count: int
    timestamp: int
    message: str | None = None


class Evaluation(Struct, omit_defaults=True):
    """The alerts that triggered just now."""

    evaluated: bool
    timestamp: int
    triggered_alerts: list[Triggered] | None = None
    message: str | None = None


class AlertsPart(Part):
    """Judges the rules every ten seconds, and when asked."""

    async def start(self) -> None:
        self._engine = self.module.engine
        self._delivery = Delivery(self.module.host)
        self._watch = Watch(self._engine)
        self._timer: Timer | None = None
        self.telemetry.metrics.watchers.append(self._watch.take)
        await self.use(self.telemetry.settings)
        self.serve(
            "engine::alerts::list",
            Nothing,
            self._list,
            description="The alert rules, what they are about and whether they fire",
            response=AlertsListing,
        )
        self.serve(
            "engine::alerts::evaluate",
            Nothing,
            self._evaluate_now,
            description="Judge all alert rules now",
            response=Evaluation,
        )

    async def use(self, settings: Settings) -> None:
        """Rules that did not change go on as they are."""
        self._rules = bool(settings.alerts) and settings.enabled
        rules = read_rules(settings.alerts) if settings.enabled else []
        called = (a.function_id for _, a in rules if isinstance(a, FunctionAction))
        self._engine.reliance.name(self, called)
        self._watch.use(rules)
        if self._rules and self._timer is None:
            self._wait()
        elif not self._rules and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._engine.reliance.name(self, ())
        self.telemetry.metrics.watchers.remove(self._watch.take)
        await self._delivery.close()

    def _wait(self) -> None:
        self._timer = self._engine.timers.after(EVALUATE_SECONDS, self._tick)

    def _tick(self) -> None:
        self._wait()
        self._evaluate()

    def _evaluate(self) -> list[Triggered]:
        triggered = self._watch.evaluate()
        for alert, action in triggered:
            self._delivery.deliver(alert, action)
        return [alert for alert, _ in triggered]

    def _list(self, _: Nothing) -> AlertsListing:
        if not self._rules:
            return AlertsListing([], 0, self._now_ms(), NO_RULES)
        rows = self._watch.rows()
        return AlertsListing(rows, sum(row.firing for row in rows), self._now_ms())

    def _evaluate_now(self, _: Nothing) -> Evaluation:
        if not self._rules:
            return Evaluation(False, self._now_ms(), message=NO_RULES)
        return Evaluation(True, self._now_ms(), self._evaluate())

    def _now_ms(self) -> int:
        return self._engine.clock.now_ns() // 1_000_000
