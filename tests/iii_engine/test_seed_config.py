"""The config files that documents of the first generation show start as they are.

Only the three ports are others here, because tests run beside each other. Case numbers are those of
the engine-modules spec.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Final

import pytest
from tests.support.engine import EngineProcess
from tests.support.raw_worker import RawWorker
from tests.support.servers import free_port

from iii_engine.config.entries import parse
from iii_engine.config.plan import make_plan

#: From the architecture page.
ARCHITECTURE: Final = """
port: 49134

modules:
  # HTTP REST API (port 3111)
  - class: modules::api::RestApiModule
    config:
      port: 3111
      host: 0.0.0.0
      concurrency_request_limit: 2048

  # State storage (file-based KV store)
  - class: modules::state::StateModule
    config:
      adapter:
        class: modules::state::adapters::KvStore
        config:
          store_method: file_based
          file_path: ./data/state

  # WebSocket streams (port 3112)
  - class: modules::stream::StreamModule
    config:
      port: 3112

  # Task queue
  - class: modules::queue::QueueModule
    config:
      adapter:
        class: modules::queue::BuiltinQueueAdapter

  # Pub/Sub messaging
  - class: modules::pubsub::PubSubModule
    config:
      adapter:
        class: modules::pubsub::LocalAdapter

  # Cron scheduler
  - class: modules::cron::CronModule
    config:
      adapter:
        class: modules::cron::KvCronAdapter

  # Key-value store
  - class: modules::kv_server::KvServer
    config:
      store_method: file_based
      file_path: ./data/kv
      save_interval_ms: 5000

  # Observability (OpenTelemetry)
  - class: modules::observability::OtelModule
    config:
      enabled: true
      exporter: memory
      metrics_enabled: true
      logs_enabled: true
      alerts:
        - name: high-error-rate
          metric: iii.invocations.error
          threshold: 10
          operator: ">"
          window_seconds: 60
          action:
            type: log
"""

#: The same in its short form, with everything that was ever said there.
SHORT: Final = """
port: 49134
modules:
  - class: modules::api::RestApiModule
    config: {port: 3111, host: 0.0.0.0, default_timeout: 300000, concurrency_request_limit: 2048,
             cors: {allowed_origins: ['*'], allowed_methods: [GET, POST, PUT, DELETE, OPTIONS],
                    allowed_headers: ['*']}}
  - class: modules::state::StateModule
    config: {adapter: {class: modules::state::adapters::KvStore,
                       config: {store_method: file_based, file_path: ./data/state}}}
  - class: modules::stream::StreamModule
    config: {port: 3112}
  - class: modules::queue::QueueModule
    config: {adapter: {class: modules::queue::BuiltinQueueAdapter}}
  - class: modules::pubsub::PubSubModule
    config: {adapter: {class: modules::pubsub::LocalAdapter}}
  - class: modules::cron::CronModule
    config: {adapter: {class: modules::cron::KvCronAdapter}}
  - class: modules::kv_server::KvServer
    config: {store_method: file_based, file_path: ./data/kv, save_interval_ms: 5000}
  - class: modules::observability::OtelModule
    config: {enabled: true, exporter: stdout, metrics_enabled: true, logs_enabled: true,
             alerts: [{name: high-error-rate, metric: iii.invocations.error, threshold: 10,
                       operator: ">", window_seconds: 60, action: {type: log}}]}
"""

SEEDS: Final = [pytest.param(ARCHITECTURE, id="architecture"), pytest.param(SHORT, id="short")]


@pytest.mark.parametrize("text", SEEDS)
def test_modules_case_1_every_line_of_a_seed_config_means_something(text: str) -> None:
    plan = make_plan(parse(text, Path("config.yaml"), {}))
    assert plan.warnings == []
    assert len(plan.modules) == 10  # with the two that are always there


@pytest.mark.parametrize("text", SEEDS)
async def test_modules_case_1_a_seed_config_starts(text: str, tmp_path: Path) -> None:
    ports = dict(zip(("49134", "3111", "3112"), [free_port() for _ in range(3)], strict=True))
    for number, port in ports.items():
        text = re.sub(rf"(?<=port: ){number}\b", str(port), text)
    process = EngineProcess(tmp_path, text)
    process.start()
    try:
        for port in ports.values():
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        async with RawWorker(process.url) as worker:
            record = {"scope": "s", "key": "k"}
            assert await worker.call("state::get", record) is None
            assert await worker.call("kv_server::get", {"index": "i", "key": "k"}) is None
            assert await worker.call("publish", {"topic": "t", "data": 1}) is None
            health = await worker.call("engine::health::check")
            assert health["status"] == "healthy"
        assert process.stop() == 0
    finally:
        process.close()
