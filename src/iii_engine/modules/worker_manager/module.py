"""`iii-worker-manager`: opens the port that workers connect to."""

from __future__ import annotations

import logging
from functools import partial

from iii_engine.core.admission import Gate
from iii_engine.modules.base import Module, changed
from iii_engine.modules.worker_manager.options import WorkerManagerOptions
from iii_engine.modules.worker_manager.rbac import make_rules
from iii_engine.net.channel_socket import channel_listener
from iii_engine.net.websocket import Limits, WorkerListener

log = logging.getLogger("iii.worker_manager")


class WorkerManagerModule(Module[WorkerManagerOptions]):
    kind = "iii-worker-manager"
    Options = WorkerManagerOptions

    async def start(self) -> None:
        options = self.options
        if options.compression:
            log.warning(
                "%s: compression: messages are not compressed; the option has no effect", self.name
            )
        self.listener = WorkerListener(
            self.engine,
            self.host.loop,
            limits=limits(options),
            allowed_origins=options.allowed_origins,
            channels=partial(channel_listener, self.engine.channels),
            pages=self.host.pages,
        )
        self._use_rules(options)
        self.port = await self.listener.open(options.host, options.port)
        self.address = (options.host, self.port)

    def _use_rules(self, options: WorkerManagerOptions) -> None:
        """Judge by these rules who connects from now on."""
        rules = make_rules(options.rbac, options.middleware_function_id)
        gate = self.listener.gate = None if rules is None else Gate(self.engine, rules)
        if rules is not None:
            self.engine.reliance.name(gate, rules.gatekeepers)

    async def reconfigure(self, options: WorkerManagerOptions) -> bool:
        """Everything in place.

        The size of messages and the time for a handshake apply to connections made from now on.
        Another host or port, and other rules, end the connections that there are, each when it is
        idle: who comes back is judged anew.
        """
        different = changed(self.options, options)
        listener, leaving = self.listener, set(self.listener.sockets)
        if different & {"host", "port"}:
            self.port = await listener.move(options.host, options.port)
            self.address = (options.host, self.port)
        listener.limits = limits(options)
        listener.allowed_origins = options.allowed_origins
        if "invocation_timeout_ms" in different:
            for peer in listener.sockets:
                peer.use_timeout()
        self.options = options
        if different & {"host", "port", "rbac", "middleware_function_id"}:
            before = listener.gate
            self._use_rules(options)
            listener.retire(leaving).add_done_callback(lambda _: self._forget_rules(before))
        return True

    def _forget_rules(self, gate: Gate | None) -> None:
        self.engine.reliance.name(gate, ())

    async def quiesce(self) -> None:
        self.listener.refuse_new()

    async def drain(self, seconds: float) -> None:
        await self.listener.drain(seconds)

    async def stop(self) -> None:
        await self.listener.close()
        self._forget_rules(self.listener.gate)
        await super().stop()


def limits(options: WorkerManagerOptions) -> Limits:
    return Limits(
        options.handshake_timeout_ms,
        options.worker_silence_ms,
        max_frame=options.max_message_bytes,
        invocation_timeout_ms=options.invocation_timeout_ms,
    )
