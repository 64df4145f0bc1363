"""What one engine asks each of the others: no function, since each answers for itself.

Questions have reserved ids, `engine::…`, and are not in the registry, so nobody else can ask them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeAlias

from msgspec import Raw

from iii_engine.core.registry import Function, LocalHandler
from iii_engine.core.router import Call, Router
from iii_engine.core.sessions import Session
from iii_engine.core.tally import Tally
from iii_sdk.protocol import ErrorBody

#: Gets what those answered that know the question, and the error of one that may know it.
Told: TypeAlias = Callable[[list[Raw], ErrorBody | None], None]


class Others:
    """The questions that this engine answers, and its way to the others."""

    def __init__(self, router: Router, monotonic_ns: Callable[[], int]) -> None:
        self._router = router
        self._monotonic_ns = monotonic_ns
        self._answered: dict[str, Function] = {}
        #: The other engines; those of a cluster put themselves here.
        self.sessions: Callable[[], Iterable[Session]] = tuple

    def get(self, question: str) -> Function | None:
        return self._answered.get(question)

    def answer(self, question: str, handler: LocalHandler) -> None:
        """Answer it from now on."""
        function = self._answered[question] = Function(question, Tally())
        function.local = handler

    def forget(self, question: str, handler: LocalHandler) -> None:
        """Answer it no more, unless somebody else does by now."""
        function = self._answered.get(question)
        if function is not None and function.local is handler:
            del self._answered[question]

    def ask(
        self, question: str, data: bytes, seconds: float, told: Told, *, trace: str | None = None
    ) -> None:
        """Ask all of them; `told` is called once, when each has answered or its time is over."""
        sessions = list(self.sessions())
        if not sessions:
            told([], None)
            return
        poll = _Poll(len(sessions), told)
        deadline_ns = self._monotonic_ns() + round(seconds * 1e9)
        for session in sessions:
            function = Function(question, Tally())
            function.target = session
            call = Call(self._router, question, data)
            call.on_answer = partial(poll.heard, session)
            call.caller_trace = trace
            call.deadline_ns = deadline_ns
            self._router.dispatch(call, function, None)


class _Poll:
    """The answers to one question."""

    def __init__(self, count: int, told: Told) -> None:
        self._open = count
        self._told = told
        self._results: list[Raw] = []
        self._error: ErrorBody | None = None

    def heard(self, session: Session, result: Raw, error: ErrorBody | None) -> None:
        self._open -= 1
        if error is None:
            self._results.append(result)
        elif error.code != "function_not_found":
            text = f"engine {session.metadata.name or session.id}: {error.message}"
            self._error = ErrorBody("engine_unreachable", text, details={"code": error.code})
        if not self._open:
            self._told(self._results, self._error)
