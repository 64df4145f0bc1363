"""`iii-worker-manager`: opens the port that workers connect to."""

from __future__ import annotations

from functools import partial

from iii_engine.core.admission import Gate
from iii_engine.modules.base import Module
from iii_engine.modules.worker_manager.options import WorkerManagerOptions
from iii_engine.modules.worker_manager.rbac import make_rules
from iii_engine.net.channel_socket import channel_listener
from iii_engine.net.websocket import Limits, WorkerListener


class WorkerManagerModule(Module[WorkerManagerOptions]):
    kind = "iii-worker-manager"
    Options = WorkerManagerOptions

    async def start(self) -> None:
        options = self.options
        if options.invocation_timeout_ms:
            self.engine.invocation_timeout_ms = options.invocation_timeout_ms
        self._rules = make_rules(options.rbac, options.middleware_function_id)
        if self._rules is not None:
            self.engine.rules.append(self._rules)
        self.listener = WorkerListener(
            self.engine,
            self.host.loop,
            limits=Limits(
                options.handshake_timeout_ms,
                options.worker_silence_ms,
                max_frame=options.max_message_bytes,
            ),
            allowed_origins=options.allowed_origins,
            channels=partial(channel_listener, self.engine.channels),
            gate=None if self._rules is None else Gate(self.engine, self._rules),
        )
        self.port = await self.listener.open(options.host, options.port)
        self.address = (options.host, self.port)

    async def stop(self) -> None:
        await self.listener.close()
        if self._rules is not None:
            self.engine.rules.remove(self._rules)
        await super().stop()
