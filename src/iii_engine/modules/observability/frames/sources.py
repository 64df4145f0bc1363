"""Who sent the records of a frame."""

from __future__ import annotations

from iii_engine.core.spans import Resource, Scope
from iii_engine.modules.observability.frames import otlp

#: The service of a worker that does not say.
UNKNOWN = "unknown"

NO_SCOPE = Scope()


def resource_of(resource: otlp.OtlpResource | None) -> Resource:
    found = otlp.attributes(resource.attributes if resource is not None else None)
    return Resource(str(found.get("service.name") or UNKNOWN), found)


def scope_of(scope: otlp.OtlpScope | None) -> Scope:
    return NO_SCOPE if scope is None else Scope(scope.name, scope.version)
