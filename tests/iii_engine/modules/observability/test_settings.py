"""Which value of an option applies, and what is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from iii_engine.config.entries import parse
from iii_engine.config.errors import ConfigError
from iii_engine.config.plan import make_plan
from iii_engine.modules.observability.options import ObservabilityOptions
from iii_engine.modules.observability.resource import engine_resource
from iii_engine.modules.observability.settings import resolve


def options(**given: object) -> ObservabilityOptions:
    return msgspec.convert(given, ObservabilityOptions)


def test_defaults() -> None:
    settings = resolve(options(), {})
    assert (settings.enabled, settings.service_name, settings.exporter) == (True, "iii", "memory")
    assert (settings.memory_max_spans, settings.logs_max_count) == (1000, 1000)
    assert (settings.sampling_ratio, settings.logs_sampling_ratio) == (1.0, 1.0)
    assert (settings.metrics_max_count, settings.metrics_retention_seconds) == (10_000, 3600)
    assert settings.endpoint == "http://localhost:4317"


ENVIRONMENT = {
    "OTEL_ENABLED": "0",
    "OTEL_SERVICE_NAME": "shop",
    "SERVICE_VERSION": "2",
    "SERVICE_NAMESPACE": "north",
    "OTEL_EXPORTER_TYPE": "both",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
    "OTEL_TRACES_SAMPLER_ARG": "0.25",
    "OTEL_MEMORY_MAX_SPANS": "7",
    "OTEL_METRICS_ENABLED": "false",
    "OTEL_METRICS_EXPORTER": "otlp",
    "OTEL_METRICS_RETENTION_SECONDS": "8",
    "OTEL_METRICS_MAX_COUNT": "9",
    "OTEL_LOGS_EXPORTER": "otlp",
    "OTEL_LOGS_BATCH_SIZE": "20000",
    "OTEL_LOGS_FLUSH_INTERVAL_MS": "5",
}


def test_the_environment_stands_in() -> None:
    settings = resolve(options(), ENVIRONMENT)
    assert (settings.enabled, settings.metrics_enabled) == (False, False)
    assert (settings.service_name, settings.service_version) == ("shop", "2")
    assert (settings.service_namespace, settings.endpoint) == ("north", "http://collector:4318")
    assert (settings.exporter, settings.metrics_exporter, settings.logs_exporter) == (
        "both",
        "otlp",
        "otlp",
    )
    assert (settings.sampling_ratio, settings.memory_max_spans) == (0.25, 7)
    assert (settings.metrics_retention_seconds, settings.metrics_max_count) == (8, 9)
    assert (settings.logs_batch_size, settings.logs_flush_interval_ms) == (10_000, 100)


def test_the_file_wins_over_the_environment() -> None:
    given = options(
        enabled=True,
        service_name="a",
        exporter="memory",
        sampling_ratio=1.0,
        memory_max_spans=3,
        logs_batch_size=0,
        logs_flush_interval_ms=9_999_999,
    )
    settings = resolve(given, ENVIRONMENT)
    assert (settings.enabled, settings.service_name, settings.exporter) == (True, "a", "memory")
    assert (settings.sampling_ratio, settings.memory_max_spans) == (1.0, 3)
    assert (settings.logs_batch_size, settings.logs_flush_interval_ms) == (1, 3_600_000)


def test_the_default_rate_of_the_sampling_block_wins_over_the_ratio() -> None:
    assert resolve(options(sampling_ratio=0.5, sampling={"default": 0.1}), {}).sampling_ratio == 0.1


def test_variables_for_other_programs_are_named_and_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    foreign = {
        "OTEL_METRICS_EXPORTER": "prometheus",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_EXPORTER_TYPE": "console",
        "OTEL_TRACES_SAMPLER_ARG": "2",
        "OTEL_MEMORY_MAX_SPANS": "0",
        "OTEL_LOGS_BATCH_SIZE": "many",
    }
    assert resolve(options(), foreign) == resolve(options(), {})
    assert all(name in caplog.text for name in foreign)


def test_the_resource() -> None:
    settings = resolve(options(), {"SERVICE_NAMESPACE": "n", "DEPLOYMENT_ENVIRONMENT": "test"})
    assert engine_resource(settings, "id").attributes == {
        "service.name": "iii",
        "service.version": "unknown",
        "service.instance.id": "id",
        "service.namespace": "n",
        "deployment.environment": "test",
    }


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("bogus: 1", "unknown field `bogus`"),
        ("exporter: smoke", "config.exporter: invalid enum value 'smoke'"),
        ("sampling_ratio: 2", "config.sampling_ratio: expected `float` <= 1.0"),
        ("memory_max_spans: 0", "config.memory_max_spans: expected `int` >= 1"),
        ("sampling: {rules: [{operation: x}]}", "config.sampling.rules[0]: object missing"),
        ("alerts: [{name: a, metric: m, threshold: 1, action: {type: shout}}]", "'shout'"),
    ],
)
def test_what_is_refused(given: str, complaint: str) -> None:
    text = f"workers: [{{name: iii-observability, config: {{{given}}}}}]"
    with pytest.raises(ConfigError) as caught:
        make_plan(parse(text, Path("config.yaml"), {}))
    assert complaint in str(caught.value)
