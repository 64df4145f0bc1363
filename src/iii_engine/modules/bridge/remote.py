"""Modules with the adapter `bridge`: the same module of another engine does the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec import Raw

from iii_engine.core.engine import Engine
from iii_engine.core.registry import LocalHandler
from iii_engine.core.router import Call, OnAnswer
from iii_engine.modules.base import RUNNING
from iii_engine.modules.bridge.hops import onward
from iii_engine.modules.bridge.link import error_of
from iii_engine.modules.bridge.links import acquire, release
from iii_engine.net.server_url import masked
from iii_sdk.errors import BusError
from iii_sdk.protocol import NULL, ErrorBody, InvokeFunction

#: How long a call may take once it is sent, in milliseconds.
TIMEOUT_MS: Final = 30_000

#: How long a call waits for an engine that is away, in seconds.
PATIENCE_SECONDS: Final = 5.0

#: What is no answer of the other module: it was not reached, or is not there.
_UNREACHED: Final = frozenset(
    {
        "TIMEOUT",
        "SHUTDOWN",
        "not_connected",
        "connection_lost",
        "connection_overloaded",
        "function_not_found",
    }
)


#: Gets a call that has been answered, its payload, and the result.
Done: TypeAlias = Callable[[Call, Raw | bytes, Raw], None]


class RemoteModule:
    """Forwards calls to the functions of the same names. Close it when the module stops."""

    def __init__(self, engine: Engine, url: str) -> None:
        self.link = acquire(engine, url)
        self._subscriptions: set[str] = set()

    @property
    def status(self) -> str:
        return RUNNING if self.link.connected else self.link.status

    async def close(self) -> None:
        for subscription in list(self._subscriptions):
            self.ignore(subscription)
        await release(self.link)

    def handler(self, function_id: str, done: Done | None = None) -> LocalHandler:
        """Answers with what the function over there answers, its errors included.

        `done` is told what it was called with and what it answered, unless that was an error.
        """

        def handle(call: Call) -> None:
            data = call.data

            def on_answer(result: Raw, error: ErrorBody | None) -> None:
                call.settle(result, error)
                if error is None and done is not None:
                    done(call, data, result)

            self.ask(call, function_id, data, on_answer)

        return handle

    def ask(
        self,
        cause: Call | None,
        function_id: str,
        data: Raw | bytes,
        on_answer: OnAnswer,
        *,
        action: bytes = b"",
    ) -> None:
        """Call a function over there, with the metadata of `cause`. An error is that of the
        function, or a `bridge_error` that names the other engine."""
        try:
            metadata = NULL if cause is None else onward(cause)
        except BusError as error:
            on_answer(NULL, error_of(error))
            return

        def answered(result: Raw, error: ErrorBody | None) -> None:
            if error is not None and error.code in _UNREACHED:
                text = f"the engine at {masked(self.link.url)} {_trouble(error)}"
                error = ErrorBody("bridge_error", text, details={"code": error.code})
            on_answer(result, error)

        self.link.request(
            cause,
            function_id,
            data,
            TIMEOUT_MS,
            answered,
            action=action,
            metadata=metadata,
            patience=PATIENCE_SECONDS,
        )

    def hear(
        self, trigger_type: str, config: bytes, on_event: Callable[[InvokeFunction], None]
    ) -> str:
        """Hear of events over there until `ignore`, or the end."""
        subscription = self.link.subscribe(trigger_type, config, on_event)
        self._subscriptions.add(subscription)
        return subscription

    def consume(
        self,
        trigger_type: str,
        config: bytes,
        remote_id: str,
        on_invoke: Callable[[InvokeFunction, int], None],
    ) -> str:
        """As `hear`, with a function of this id over there, and answers from `on_invoke`."""
        subscription = self.link.consume(trigger_type, config, remote_id, on_invoke)
        self._subscriptions.add(subscription)
        return subscription

    def ignore(self, subscription: str) -> None:
        self._subscriptions.remove(subscription)
        self.link.unsubscribe(subscription)


def _trouble(error: ErrorBody) -> str:
    """What is wrong with the other engine, in the words that follow its name."""
    match error.code:
        case "not_connected":
            return "cannot be reached"
        case "TIMEOUT":
            return f"did not answer within {TIMEOUT_MS / 1000:g} s"
        case _:
            return f"did not do it: {error.message}"
