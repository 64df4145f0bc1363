"""Whose records these are: the resource of OpenTelemetry."""

from __future__ import annotations

from msgspec import Struct

from iii_engine.modules.observability.settings import Settings

#: An attribute's value, as OTLP has it; lists and maps are JSON text.
AttributeValue = str | bool | int | float


class Resource(Struct, frozen=True):
    """Shared by all records of one source."""

    service_name: str
    attributes: dict[str, AttributeValue]


def engine_resource(settings: Settings, instance_id: str) -> Resource:
    """The engine's own. `instance_id` is a UUID that lives as long as the engine."""
    attributes: dict[str, AttributeValue] = {
        "service.name": settings.service_name,
        "service.version": settings.service_version,
        "service.instance.id": instance_id,
    }
    if settings.service_namespace:
        attributes["service.namespace"] = settings.service_namespace
    if settings.deployment_environment:
        attributes["deployment.environment"] = settings.deployment_environment
    return Resource(settings.service_name, attributes)
