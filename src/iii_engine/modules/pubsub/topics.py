"""Who wants which topic: exact names, and patterns that end in `*`."""

from __future__ import annotations

from collections.abc import Iterator

from iii_engine.core.triggers import Trigger


class Topics:
    """The triggers by what they subscribed to. `agent.*` wants all that begins with `agent.`."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[Trigger, None]] = {}
        self._prefixes: dict[str, dict[Trigger, None]] = {}

    def add(self, topic: str, trigger: Trigger) -> None:
        where, name = self._place(topic)
        where.setdefault(name, {})[trigger] = None

    def remove(self, topic: str, trigger: Trigger) -> None:
        where, name = self._place(topic)
        triggers = where[name]
        del triggers[trigger]
        if not triggers:
            del where[name]

    def wanting(self, topic: str) -> Iterator[Trigger]:
        """Those that get a message of this topic, each once."""
        yield from self._exact.get(topic, ())
        for prefix, triggers in self._prefixes.items():
            if topic.startswith(prefix):
                yield from triggers

    def of(self, pattern: str) -> list[Trigger]:
        """Those that subscribed to exactly this."""
        where, name = self._place(pattern)
        return list(where.get(name, ()))

    def _place(self, topic: str) -> tuple[dict[str, dict[Trigger, None]], str]:
        if topic.endswith("*"):
            return self._prefixes, topic[:-1]
        return self._exact, topic
