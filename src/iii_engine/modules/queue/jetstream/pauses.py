"""Queues that are paused for all engines of one NATS."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Final, TypeAlias

from iii_engine.modules.queue.pauses import Done, Pauses
from iii_engine.net.nats_client import text_of, token

#: Keys have three parts, which no key of a subscription has: `paused.<name>.all`.
FIRST: Final = "paused."
LAST: Final = ".all"

#: Writes a key, or removes it.
Mark: TypeAlias = Callable[[str, bool], Awaitable[None]]
#: Does some work, and tells what became of it.
Answer: TypeAlias = Callable[[Coroutine[object, object, None], Done], None]


class JetPauses(Pauses):
    """They are in the bucket of the subscriptions, which every engine follows."""

    def __init__(self, mark: Mark, answer: Answer) -> None:
        super().__init__()
        self._mark = mark
        self._answer = answer

    def put(self, name: str, paused: bool, done: Done) -> None:
        async def change() -> None:
            await self._mark(f"{FIRST}{token(name)}{LAST}", paused)
            self._change(name, paused)

        self._answer(change(), done)

    def told(self, key: str, there: bool) -> None:
        """A key of the bucket that is no subscription's was written or removed."""
        name = _name(key)
        if name is not None and there != (name in self):
            self._change(name, there)

    def listed(self, keys: set[str]) -> None:
        """Only those are in the bucket."""
        for name in list(self._names - {_name(key) for key in keys}):
            self._change(name, False)


def _name(key: str) -> str | None:
    if not (key.startswith(FIRST) and key.endswith(LAST)):
        return None
    try:
        return text_of(key[len(FIRST) : -len(LAST)])
    except UnicodeDecodeError:
        return None
