"""Named queues that are not configured (any more), whose jobs wait until they are again."""

from __future__ import annotations

import logging
from collections.abc import Collection
from functools import partial

from iii_engine.modules.queue.broker import Broker
from iii_engine.modules.queue.job import QueueName, Stats
from iii_engine.storage.base import LocalStore

log = logging.getLogger("iii.queue")


def left_in_store(store: LocalStore) -> str | None:
    """What the engine's own store has of jobs, when the queues are elsewhere; None if nothing."""
    number = store.read(
        lambda t: sum(
            t.count(space) for space in t.spaces("queue/") if space.endswith(("/jobs", "/delayed"))
        )
    )
    if not number:
        return None
    text = f"{number} jobs wait in this engine's own store, where only the adapter builtin has them"
    log.warning("%s", text)
    return text


class Leftovers:
    """A broker behind a network answers later: what is told is what it said last."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._known: dict[str, Stats] = {}

    def change(self, configured: Collection[str], before: Collection[str]) -> None:
        """These queues are configured now, and those were before: say what is in the others."""
        left = {*self._known, *before, *self._broker.named_queues()}.difference(configured)
        new = left.difference(self._known)
        self._known = {name: self._known.get(name, Stats()) for name in sorted(left)}
        for name in sorted(new):
            self._broker.stats(QueueName(name), partial(self._tell, name))

    def names(self) -> list[str]:
        """Those that hold jobs, dead ones as well."""
        for name in list(self._known):
            self._broker.stats(QueueName(name), partial(self._learn, name))
        return [name for name, stats in self._known.items() if any(stats)]

    @property
    def problem(self) -> str | None:
        """Which of them have jobs that wait, and how many; None when there are none."""
        waiting = {name: self._known[name].depth for name in self.names()}
        told = ", ".join(f"{name} ({depth})" for name, depth in waiting.items() if depth)
        return f"jobs wait in queues that are not configured: {told}" if told else None

    def _learn(self, name: str, stats: Stats | None, _: BaseException | None) -> None:
        if stats is not None and name in self._known:
            if any(stats):
                self._known[name] = stats
            else:  # nothing comes to it while it is not configured
                del self._known[name]

    def _tell(self, name: str, stats: Stats | None, error: BaseException | None) -> None:
        self._learn(name, stats, error)
        if stats is not None and any(stats):
            log.warning(
                "queue %s is not configured any more: %d jobs wait in it and %d are dead",
                name,
                stats.depth,
                stats.dead,
            )
