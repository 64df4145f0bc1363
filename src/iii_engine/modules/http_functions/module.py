"""`iii-http-functions`: functions that are remote HTTP endpoints."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine

from msgspec import Raw

from iii_engine.core.registry import LocalHandler
from iii_engine.core.remote import Refuse
from iii_engine.core.router import Call
from iii_engine.modules.base import Module, fail
from iii_engine.modules.http_functions.credentials import Credentials
from iii_engine.modules.http_functions.options import HttpFunctionsOptions
from iii_engine.modules.http_functions.request import RemoteFunction
from iii_engine.modules.http_functions.response import result
from iii_engine.net.client.dialer import Dialer
from iii_engine.net.client.pool import Pools
from iii_engine.net.client.target import Origin, UrlRefused, read_target
from iii_engine.tasks import end_tasks
from iii_sdk.errors import BusError
from iii_sdk.protocol import ErrorBody, RegisterFunction

log = logging.getLogger("iii.http_functions")


class HttpFunctionsModule(Module[HttpFunctionsOptions]):
    """Makes the calls of functions that were registered with an `invocation`."""

    kind = "iii-http-functions"
    Options = HttpFunctionsOptions

    async def start(self) -> None:
        if self.engine.remote.installed:
            raise BusError("HTTP-invoked functions have a module already")
        self._tasks: set[asyncio.Task[None]] = set()
        self._installed = True
        self._begin()

    def _begin(self) -> None:
        """Judge all registrations by the options, and dial by them."""
        self._dialer = Dialer(self.options.security, self.host.loop)
        self._pools = Pools(self._dialer, self.host.loop)
        self.engine.remote.install(self._offer)

    async def reconfigure(self, options: HttpFunctionsOptions) -> bool:
        """In place: requests under way end as they began."""
        self.options = options
        self._pools.close()
        self._begin()
        return True

    async def drain(self, seconds: float) -> None:
        self.engine.remote.install(None)
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)

    async def stop(self) -> None:
        if getattr(self, "_installed", False):
            self.engine.remote.install(None)
            await end_tasks(self._tasks)
            self._pools.close()
        await super().stop()

    def _offer(self, message: RegisterFunction, refuse: Refuse) -> LocalHandler | ErrorBody:
        """The handler of a registration, or why it is refused."""
        invocation = message.invocation
        assert invocation is not None
        try:
            target = read_target(invocation.url, self.options.security)
            credentials = Credentials(invocation.auth, os.environ)
            function = RemoteFunction(message.id, invocation, target, credentials)
        except BusError as error:
            return ErrorBody(error.code, error.message)
        if not target.origin.literal:
            self._spawn(self._look_up(message.id, target.origin, refuse))
        return lambda call: self._spawn(self._answer(function, call))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self.host.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_up(self, function_id: str, origin: Origin, refuse: Refuse) -> None:
        """Judge the addresses behind a name, as every call will again.

        A name that cannot be looked up now may be another time; it is only reported.
        """
        try:
            await self._dialer.addresses(origin)
        except UrlRefused as error:
            if error.message == "DNS lookup failed":
                log.warning("function %r: %s (%s)", function_id, error.message, origin.host)
            else:
                refuse(ErrorBody(error.code, error.message))

    async def _answer(self, function: RemoteFunction, call: Call) -> None:
        try:
            call.reply(await self._invoke(function, call))
        except asyncio.CancelledError:
            call.fail("invocation_stopped", "Invocation stopped")
            raise
        except Exception as error:  # noqa: BLE001  (`fail` logs it)
            fail(call, error)

    async def _invoke(self, function: RemoteFunction, call: Call) -> Raw:
        now_seconds = self.engine.clock.now_ns() // 1_000_000_000
        return result(
            await self._pools.send(
                function.target.origin,
                function.request(call, now_seconds),
                function.timeout_ms / 1000,
                repeatable=function.repeatable,
            )
        )
