"""Jobs that run for another engine of the cluster: their workers ask the engine they are at.

An engine that has a job calls its function wherever that is. So who is asked about a job that it
does not know asks the others, and the one that runs it answers. Where a server keeps the jobs any
engine may run them, so they are asked about all that does not run here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import msgspec
from msgspec import Raw

from iii_engine.core.others import Others
from iii_engine.core.registry import LocalHandler
from iii_engine.core.router import Call
from iii_engine.modules.queue.controls import Controls
from iii_engine.modules.queue.handlers import handling
from iii_engine.modules.queue.requests import HeartbeatRequest, MessageRequest
from iii_sdk.protocol import NULL, ErrorBody, is_null

Q = TypeVar("Q", bound=MessageRequest)

QUESTION: Final = "engine::job::"
#: What a server that keeps the jobs knows, too, except whether one runs.
STATUS: Final = QUESTION + "status"

#: Seconds that the others have.
ASK_SECONDS: Final = 2.0


class Elsewhere:
    """`cancel`, `status` and `heartbeat` of jobs that run at any engine."""

    def __init__(self, others: Others, controls: Controls) -> None:
        self._others = others
        self._controls = controls
        self._questions: dict[str, LocalHandler] = {}
        self.cancel = self._about("cancel", MessageRequest, controls.cancel)
        self.status = self._about("status", MessageRequest, controls.status)
        self.heartbeat = self._about("heartbeat", HeartbeatRequest, controls.heartbeat)

    def open(self) -> None:
        """Answer the others."""
        for question, handler in self._questions.items():
            self._others.answer(question, handler)

    def close(self) -> None:
        for question, handler in self._questions.items():
            self._others.forget(question, handler)

    def _about(self, name: str, kind: type[Q], handle: Callable[[Call, Q], None]) -> LocalHandler:
        """The handler of a function, which asks the others where that is needed."""
        question = QUESTION + name
        self._questions[question] = handling(kind, partial(self._answer, handle))
        return handling(kind, partial(self._handle, question, handle))

    def _answer(self, handle: Callable[[Call, Q], None], call: Call, request: Q) -> None:
        """Another engine asks: null, unless the job runs here."""
        if self._controls.runs(request):
            handle(call, request)
        else:
            call.reply(b"null")

    def _handle(
        self, question: str, handle: Callable[[Call, Q], None], call: Call, request: Q
    ) -> None:
        def told(results: list[Raw], error: ErrorBody | None) -> None:
            answer = next((result for result in results if not is_null(result)), None)
            if answer is not None:
                call.reply(answer)
            elif error is not None and not (self._controls.shared and question == STATUS):
                call.settle(NULL, error)
            else:
                handle(call, request)

        def known(here: bool) -> None:
            if here:
                handle(call, request)
            else:
                data = msgspec.json.encode(request)
                self._others.ask(question, data, ASK_SECONDS, told, trace=call.traceparent or None)

        if self._controls.runs(request):
            handle(call, request)
        else:
            self._controls.keeps(request, known)
