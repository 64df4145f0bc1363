"""Whose records the engine's own are: its resource, as OpenTelemetry calls it."""

from __future__ import annotations

from iii_engine.core.spans import AttributeValue, Resource
from iii_engine.modules.observability.settings import Settings


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
