"""Services: labels over functions, without effect on calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from iii_engine.core.registry import Registry
from iii_engine.core.sessions import Session
from iii_sdk.protocol import RegisterService


@dataclass
class Service:
    """`owner` is the live worker that registered it by name; None for an implied one."""

    id: str
    name: str
    description: str | None = None
    parent_id: str | None = None
    owner: Session | None = None
    functions: set[str] = field(default_factory=set)


class Services:
    """Functions join the service named by their first segment; without `::` they have none."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._services: dict[str, Service] = {}

    def __iter__(self) -> Iterator[Service]:
        """Live services; one whose functions are all gone lives on only while registered."""
        for service in list(self._services.values()):
            service.functions = {f for f in service.functions if f in self._registry}
            if service.functions or service.owner is not None:
                yield service
            else:
                del self._services[service.id]

    def attach(self, function_id: str) -> None:
        name, separator, _ = function_id.partition("::")
        if separator:
            self._services.setdefault(name, Service(name, name)).functions.add(function_id)

    def detach(self, function_id: str) -> None:
        """The function is gone, and with its last one a service that nobody registered."""
        service = self._services.get(function_id.partition("::")[0])
        if service is not None:
            service.functions.discard(function_id)
            if not service.functions and service.owner is None:
                del self._services[service.id]

    def register(self, session: Session, message: RegisterService) -> None:
        service = self._services.setdefault(message.id, Service(message.id, message.id))
        if session.left_behind(f"service {service.id!r}", service.owner):
            return
        service.name = message.name or message.id
        service.description = message.description
        service.parent_id = message.parent_service_id
        service.owner = session

    def owner_of(self, service_id: str) -> Session | None:
        """The worker that registered a service by name."""
        service = self._services.get(service_id)
        return None if service is None else service.owner

    def session_gone(self, session: Session) -> None:
        for service in self._services.values():
            if service.owner is session:
                service.owner = None
        for _ in self:
            pass
