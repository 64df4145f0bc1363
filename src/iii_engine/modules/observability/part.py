"""A part of the module: traces, logs, metrics, alerts, an exporter."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from iii_engine.core.router import Call
from iii_engine.core.turns import Pieces
from iii_engine.modules.base import answering, read
from iii_engine.modules.component import Component
from iii_engine.modules.pieces import in_pieces

if TYPE_CHECKING:
    from iii_engine.modules.observability.module import ObservabilityModule
    from iii_engine.modules.observability.settings import Settings

Q = TypeVar("Q", bound=Struct)


class Nothing(Struct):
    """A request without fields."""


class Success(Struct):
    success: bool = True


class Part:
    """Made when the module starts; `module` has `telemetry`, `engine`, `host` and `offer`."""

    def __init__(self, module: ObservabilityModule) -> None:
        self.module = module
        self.telemetry = module.telemetry

    def serve(
        self,
        function_id: str,
        request: type[Q],
        work: Callable[[Q], object],
        *,
        description: str,
        response: Any = None,
    ) -> None:
        """Offer a function that answers with what `work` returns, or with the error it raises.

        It sees what arrived before it was asked: frames that still wait are read first.
        """
        handler = answering(lambda call: work(read(call, request)))
        self._offer(function_id, handler, request, description, response)

    def browse(
        self,
        function_id: str,
        request: type[Q],
        work: Callable[[Q], Pieces[bytes]],
        *,
        description: str,
        response: Any = None,
    ) -> None:
        """As `serve`, for what is looked up and written as JSON in pieces."""
        turns = self.module.host.turns
        handler = in_pieces(turns, lambda call: work(read(call, request)))
        self._offer(function_id, handler, request, description, response)

    def _offer(
        self,
        function_id: str,
        handler: Callable[[Call], None],
        request: type[Q],
        description: str,
        response: Any,
    ) -> None:
        self.module.offer(
            function_id,
            lambda call: self.telemetry.intake.when_idle(partial(handler, call)),
            description=description,
            request=request,
            response=response,
        )

    async def start(self) -> None:
        """Offer functions and trigger types, begin to watch. The settings are `telemetry`'s."""

    async def use(self, settings: Settings) -> None:
        """The settings changed; `telemetry.settings` are the new ones already."""

    async def stop(self) -> None:
        """End what `start` began; functions and types are taken back by the module."""

    def components(self) -> dict[str, Component]:
        """What `engine::health::check` shows of this part."""
        return {}
