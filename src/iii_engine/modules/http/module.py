"""`iii-http`: a port whose routes are `http` triggers."""

from __future__ import annotations

from iii_engine.core.sessions import Status
from iii_engine.core.triggers import Trigger, TriggerType
from iii_engine.modules.base import Host, Module, changed, schema
from iii_engine.modules.http.gateway import Gateway
from iii_engine.modules.http.options import HttpOptions
from iii_engine.modules.http.ownership import claim
from iii_engine.modules.http.payload import HttpCall
from iii_engine.modules.http.routes import Route, RouteConfig, read_config
from iii_engine.net.http_listener import HttpListener


class HttpModule(Module[HttpOptions]):
    kind = "iii-http"
    Options = HttpOptions

    def __init__(self, name: str, options: HttpOptions, host: Host) -> None:
        super().__init__(name, options, host)
        self.gateway = Gateway(self.engine, options, host.loop)
        self.listener = HttpListener(self.gateway)

    async def start(self) -> None:
        self.port = await self.listener.open(self.options.host, self.options.port)
        self.address = (self.options.host, self.port)
        self.engine.reliance.name(self.name, self.options.keepers())
        self.offer_type(
            TriggerType(
                "http",
                "An HTTP request to a path",
                schema(RouteConfig),
                schema(HttpCall),
                bind=self._bind,
                unbind=self._unbind,
            ),
            aliases=("api",),
        )

    async def reconfigure(self, options: HttpOptions) -> bool:
        """Every option in place. At another address, connections to the old one end in order."""
        if changed(self.options, options) & {"host", "port"}:
            self.port = await self.listener.move(options.host, options.port)
            self.address = (options.host, self.port)
        self.gateway.use(options)
        self.engine.reliance.name(self.name, options.keepers())
        self.options = options
        return True

    async def quiesce(self) -> None:
        self.listener.refuse_new()

    async def stop(self) -> None:
        await self.listener.close()
        self.gateway.cancel_all()
        self.engine.reliance.name(self.name, ())
        await super().stop()

    def _bind(self, trigger: Trigger) -> None:
        config = read_config(bytes(trigger.config))
        route = Route(trigger.id, trigger.function_id, config)
        claim(self.engine, route, trigger, self.gateway.routes, self.gateway.vanished.routes())
        self.gateway.routes.add(route)
        self.gateway.vanished.back(route)

    def _unbind(self, trigger: Trigger) -> None:
        route = self.gateway.routes.remove(trigger.id)
        owner = trigger.owner
        if route is not None and owner is not None and owner.status is Status.GONE:
            self.gateway.vanished.add(route)
