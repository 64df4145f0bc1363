"""`iii-bridge`: calls functions of another engine, and lets it call functions of this one."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Any

from msgspec import Meta, Raw, Struct, field

from iii_engine.core.router import Call
from iii_engine.modules.base import Host, Module, answering, fail, read
from iii_engine.modules.bridge.link import Link, bridge_error, error_of, forward
from iii_engine.modules.bridge.links import acquire, release
from iii_engine.modules.bridge.options import BridgeOptions, Forwarded, check
from iii_sdk.errors import BusError
from iii_sdk.protocol import NULL, RegisterService

#: How long calls over a link may take that is given up for another one, in seconds.
PATIENCE_SECONDS = 10.0


class InvokeAsyncRequest(Struct):
    """A call without an answer."""

    #: The function of the other engine.
    function_id: str
    #: Its payload.
    data: Raw = field(default_factory=lambda: NULL)


class InvokeRequest(InvokeAsyncRequest):
    """A call."""

    #: How long it may take, also when the other engine cannot be reached, in milliseconds.
    timeout_ms: Annotated[int, Meta(ge=1)] = 30_000


class BridgeModule(Module[BridgeOptions]):
    """A worker of the other engine. With several instances `bridge.*` are those of the first."""

    kind = "iii-bridge"
    Options = BridgeOptions

    link: Link | None = None

    @classmethod
    def check(cls, options: BridgeOptions) -> None:
        check(options)

    def __init__(self, name: str, options: BridgeOptions, host: Host) -> None:
        super().__init__(name, options, host)
        self._patience = 0.0
        self._leaving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._may(self.options)
        self.link = acquire(self.engine, self.options.address)
        self._announce(self.link, BridgeOptions(), self.options)
        self._forward(BridgeOptions(), self.options)
        self.offer_invoke()

    async def reconfigure(self, options: BridgeOptions) -> bool:
        """In place; only what is exposed or forwarded otherwise than before is offered anew."""
        self._may(options)
        before, self.options = self.options, options
        link = self._link
        if options.address == before.address:
            self._announce(link, before, options)
        else:
            self.link = acquire(self.engine, options.address)
            self._announce(self.link, BridgeOptions(), options)
            self._announce(link, before, BridgeOptions())
            leaving = self.host.loop.create_task(release(link, PATIENCE_SECONDS))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        self._forward(before, options)
        return True

    def status(self) -> str:
        if self.link is None or self.link.connected:
            return super().status()
        return self.link.status

    async def quiesce(self) -> None:
        for exposed in self.options.expose:
            self._link.withdraw(exposed.remote_id)

    async def drain(self, seconds: float) -> None:
        await self.quiesce()
        self._patience = seconds

    async def stop(self) -> None:
        await super().stop()
        if self.link is not None:
            link, self.link = self.link, None
            self._announce(link, self.options, BridgeOptions())
            await release(link, self._patience)
        await asyncio.gather(*self._leaving)
        for module in self.host.modules.values():
            if isinstance(module, BridgeModule) and module is not self:
                module.offer_invoke()

    @property
    def _link(self) -> Link:
        assert self.link is not None  # it has started
        return self.link

    # -- what it offers here ---------------------------------------------------------------------

    def offer_invoke(self) -> None:
        """Offer `bridge.*`, unless another instance does."""
        if "bridge.invoke" in self.engine.registry:
            return
        self.offer(
            "bridge.invoke",
            self._invoke,
            description="Call a function of the other engine",
            request=InvokeRequest,
            response=Any,
        )
        self.offer(
            "bridge.invoke_async",
            answering(self._invoke_async),
            description="Call a function of the other engine without waiting for it",
            request=InvokeAsyncRequest,
        )

    def _invoke(self, call: Call) -> None:
        try:
            request = read(call, InvokeRequest)
        except BusError as error:
            fail(call, error)
        else:
            forward(self._link, call, request.function_id, request.data, request.timeout_ms)

    def _invoke_async(self, call: Call) -> Raw:
        request = read(call, InvokeAsyncRequest)
        try:
            self._link.send(call, request.function_id, request.data)
        except BusError as error:
            call.settle(NULL, bridge_error(error_of(error)))
        return NULL

    def _forward(self, before: BridgeOptions, after: BridgeOptions) -> None:
        for gone in set(before.forward) - set(after.forward):
            self.withdraw(gone.local_function)
        for new in set(after.forward) - set(before.forward):
            self.offer(
                new.local_function,
                partial(self._pass_on, new),
                description=f"{new.remote_function} of another engine",
            )

    def _pass_on(self, forwarded: Forwarded, call: Call) -> None:
        forward(self._link, call, forwarded.remote_function, call.data, forwarded.timeout_ms)

    # -- what it offers there --------------------------------------------------------------------

    def _announce(self, link: Link, before: BridgeOptions, after: BridgeOptions) -> None:
        """Change what the engine at the other end knows of this one."""
        services = link.connection.registrations.services
        if before.service_id is not None and before.service_id != after.service_id:
            # The protocol has no way to withdraw a service: it goes with the connection.
            services.pop(before.service_id, None)
        if after.service_id is not None:
            service = RegisterService(after.service_id, after.service_name or after.service_id)
            if services.get(service.id) != service:
                link.connection.registrations.add_service(service)
        for gone in set(before.expose) - set(after.expose):
            link.forget(gone.remote_id)
        for new in set(after.expose) - set(before.expose):
            link.expose(new.remote_id, new.local_function)

    def _may(self, options: BridgeOptions) -> None:
        """Refuse what others have taken, before anything is changed."""
        for index, forwarded in enumerate(options.forward):
            function = self.engine.registry.get(forwarded.local_function)
            if function is not None and function.module not in (None, self.name):
                raise BusError(
                    f"config.forward[{index}].local_function: '{function.id}' is a function of "
                    f"{function.module}",
                    code="invalid_config",
                )
        for module in self.host.modules.values():
            if isinstance(module, BridgeModule) and module is not self:
                self._may_beside(options, module.options, module.name)

    def _may_beside(self, options: BridgeOptions, others: BridgeOptions, name: str) -> None:
        if options.address != others.address:
            return
        taken = {exposed.remote_id for exposed in others.expose}
        for index, exposed in enumerate(options.expose):
            if exposed.remote_id in taken:
                raise BusError(
                    f"config.expose[{index}].remote_function: '{exposed.remote_id}' is exposed "
                    f"by {name}",
                    code="invalid_config",
                )
