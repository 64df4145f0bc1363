"""Who sent the records of a frame."""

from __future__ import annotations

from typing import Final

import msgspec

from iii_engine.core.spans import Resource, Scope
from iii_engine.modules.observability.frames import otlp

#: The service of a worker that does not say.
UNKNOWN = "unknown"

NO_SCOPE = Scope()

#: Bytes of a resource as JSON. Of a larger one only the name of the service is kept.
MAX_RESOURCE: Final = 16 * 1024
MAX_NAME: Final = 256


def resource_of(resource: otlp.OtlpResource | None) -> Resource:
    found = otlp.attributes(resource.attributes if resource is not None else None)
    name = str(found.get("service.name") or UNKNOWN)[:MAX_NAME]
    if resource is not None and len(msgspec.json.encode(resource)) > MAX_RESOURCE:
        found = {"service.name": name}
    return Resource(name, found)


def scope_of(scope: otlp.OtlpScope | None) -> Scope:
    return NO_SCOPE if scope is None else Scope(scope.name, scope.version)
