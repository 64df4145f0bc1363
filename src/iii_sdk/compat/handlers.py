"""Runs the handlers: async ones on one loop, plain functions on a pool, and sends what they say."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import threading
import traceback
from collections.abc import Callable
from contextvars import Context, ContextVar
from functools import partial
from typing import Any

from iii_sdk.call import Call
from iii_sdk.compat.errors import IIIInvocationError
from iii_sdk.compat.link import Link
from iii_sdk.compat.results import dump
from iii_sdk.compat.signatures import Handler, is_async
from iii_sdk.compat.threads import LoopThread, Pool
from iii_sdk.current_call import enter
from iii_sdk.errors import BusError
from iii_sdk.protocol import ErrorBody, InvokeFunction

log = logging.getLogger("iii.sdk")

#: The instance whose handler runs in this context; None outside of handlers.
current_instance: ContextVar[object | None] = ContextVar("iii_current_instance", default=None)


#: The call that this context began with; the current one may be a part of it.
_handled: ContextVar[Call | None] = ContextVar("iii_handled_call", default=None)


class Handlers:
    """The threads of an instance's handlers. `start` is called on the I/O thread."""

    def __init__(self, owner: object, link: Link, pool: Pool) -> None:
        self._owner = owner
        self._link = link
        self.pool = pool
        self.loop = LoopThread("iii-handlers", pool)
        #: Of async handlers: a loop knows its tasks weakly, and they are to end all the same.
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = 0
        self._changed = threading.Condition()
        self._draining = False

    def start(self, handler: Handler, message: InvokeFunction, epoch: int) -> None:
        """Run a handler and answer its call."""
        context = contextvars.copy_context()
        call = Call(message)
        if self._link.telemetry is not None:
            call.begin()
        context.run(enter, call)
        context.run(_handled.set, call)
        context.run(current_instance.set, self._owner)
        with self._changed:
            if self._draining:
                self._refuse(message, epoch, "invocation_stopped", "the worker is shutting down")
                return
            self._running += 1
        if handler.is_async:
            self.loop.post(partial(self._spawn, context, handler, message, epoch))
        else:
            self.pool.submit(context.run, self._run_plain, handler, message, epoch)

    def drain(self, seconds: float) -> None:
        """Take no more calls; wait for the running ones."""
        with self._changed:
            self._draining = True
            self._changed.wait_for(lambda: self._running == 0, seconds)

    # -- on the handlers' threads ----------------------------------------------------------------

    def _spawn(
        self, context: Context, handler: Handler, message: InvokeFunction, epoch: int
    ) -> None:
        task = asyncio.get_running_loop().create_task(
            self._run_async(handler, message, epoch), context=context
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_async(self, handler: Handler, message: InvokeFunction, epoch: int) -> None:
        try:
            result = await handler.bound(message)()
            self._answer(message, epoch, dump(result))
        except asyncio.CancelledError:
            self._record(ErrorBody("invocation_stopped", "the worker is shutting down"))
            self._refuse(message, epoch, "invocation_stopped", "the worker is shutting down")
            raise
        except GeneratorExit:  # the loop has ended: there is nobody to answer
            raise
        except BaseException as error:  # noqa: BLE001 - it is the answer
            self._fail(message, epoch, error)
        finally:
            self._ended()

    def _run_plain(self, handler: Handler, message: InvokeFunction, epoch: int) -> None:
        try:
            result = handler.bound(message)()
            if inspect.iscoroutine(result):
                result = self.loop.submit(result).result()
            self._answer(message, epoch, dump(result))
        except BaseException as error:  # noqa: BLE001 - it is the answer
            self._fail(message, epoch, error)
        finally:
            self._ended()

    def _ended(self) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    def _answer(self, message: InvokeFunction, epoch: int, result: bytes) -> None:
        self._record()
        self._link.io.post(lambda: self._link.connection.answer(message, epoch, result))

    def _fail(self, message: InvokeFunction, epoch: int, error: BaseException) -> None:
        if isinstance(error, BusError):
            body = ErrorBody(error.code, error.message)
        elif isinstance(error, IIIInvocationError) and error.code == "serialization_error":
            body = ErrorBody(error.code, f"result of {message.function_id}: {error.message}")
        else:
            log.error("%s failed", message.function_id, exc_info=error)
            stack = "".join(traceback.format_exception(error))
            body = ErrorBody("invocation_failed", str(error) or type(error).__name__, stack)
        self._record(body, error)
        self._link.io.post(lambda: self._link.connection.refuse(message, epoch, body))

    def _record(self, body: ErrorBody | None = None, error: BaseException | None = None) -> None:
        """The handler of this context is done: so is the span of its call."""
        call = _handled.get()
        if call is None or self._link.telemetry is None:
            return
        if error is not None and call.span is not None:
            call.span.caught(error)
        span = call.end(None if body is None else f"{body.code}: {body.message}")
        if span is not None:
            self._link.telemetry.span(span)

    def _refuse(self, message: InvokeFunction, epoch: int, code: str, text: str) -> None:
        body = ErrorBody(code, text)
        self._link.io.post(lambda: self._link.connection.refuse(message, epoch, body))

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call something of the program on the handlers' loop; for use on another loop."""

        async def run() -> Any:
            result = function(*arguments)
            return await result if inspect.isawaitable(result) else result

        return await asyncio.wrap_future(self.loop.submit(run()))

    async def call_anywhere(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a callback as handlers are called; for use on the handlers' loop."""
        if is_async(function):
            return await function(*arguments)
        return await asyncio.wrap_future(self.pool.submit(function, *arguments))
