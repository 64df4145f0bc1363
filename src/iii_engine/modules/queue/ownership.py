"""Whose subscriptions are whose: all triggers of one topic and function share one.

The newest of them says how jobs are handled and which condition is asked, and the last one ends
it, with the jobs that wait. That is for those who trust each other.
"""

from __future__ import annotations

from iii_engine.core.access import Access
from iii_engine.core.triggers import Trigger
from iii_sdk.errors import Forbidden


class Ownership:
    """The party that a subscription belongs to. It is told to nobody: an engine that has started
    anew, or another one, only knows that there is a subscription."""

    def __init__(self, *, known: bool) -> None:
        self._known = known
        self._maker: Access | None = None

    def check(self, trigger: Trigger) -> None:
        """Raises `Forbidden` when the trigger's maker may not join.

        Who is guarded joins its own party's; one of an unknown party when it provides the function.
        """
        access = _guarded(trigger)
        if access is None:
            return
        joins = access.same_party(self._maker) if self._known else access.owns(trigger.function_id)
        if not joins:
            text = f"the subscription of {trigger.function_id!r} belongs to another worker"
            raise Forbidden(text, code="FORBIDDEN")

    def take(self, trigger: Trigger) -> None:
        """It is the maker's of this trigger, which is the newest."""
        self._known, self._maker = True, _guarded(trigger)


def _guarded(trigger: Trigger) -> Access | None:
    """The rights of a guarded maker."""
    access = trigger.access
    return access if access is not None and access.rules.guarded else None
