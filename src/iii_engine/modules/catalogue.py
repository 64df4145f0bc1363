"""The built-in modules by name. A module's code is imported only when it is used."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from iii_engine.modules.base import Module


@dataclass(frozen=True)
class Builtin:
    """A name the config file may use.

    `implementation` is `<module>:<class>`, or None for what this version does not have yet.
    `default` modules run when there is no config file; `mandatory` ones always.
    """

    name: str
    legacy: str | None
    implementation: str | None = None
    default: bool = False
    mandatory: bool = False

    @property
    def available(self) -> bool:
        return self.implementation is not None

    def load(self) -> type[Module[Any]]:
        """Import the module's class."""
        assert self.implementation is not None
        path, _, name = self.implementation.partition(":")
        kind: type[Module[Any]] = getattr(importlib.import_module(path), name)
        return kind


TELEMETRY = "iii-telemetry"
OBSERVABILITY = "iii-observability"
WORKER_MANAGER = "iii-worker-manager"
EXEC = "iii-exec"

BUILTINS = (
    Builtin(
        WORKER_MANAGER,
        "worker::WorkerModule",
        "iii_engine.modules.worker_manager:WorkerManagerModule",
        default=True,
        mandatory=True,
    ),
    Builtin(
        "iii-engine-functions",
        None,
        "iii_engine.modules.engine_functions:EngineFunctionsModule",
        default=True,
        mandatory=True,
    ),
    Builtin(
        OBSERVABILITY,
        "observability::OtelModule",
        "iii_engine.modules.observability:ObservabilityModule",
        default=True,
        mandatory=True,
    ),
    Builtin("iii-http", "api::RestApiModule", "iii_engine.modules.http:HttpModule", default=True),
    Builtin(
        "iii-state", "state::StateModule", "iii_engine.modules.state:StateModule", default=True
    ),
    Builtin(
        "iii-stream", "stream::StreamModule", "iii_engine.modules.stream:StreamModule", default=True
    ),
    Builtin(
        "iii-queue", "queue::QueueModule", "iii_engine.modules.queue:QueueModule", default=True
    ),
    Builtin(
        "iii-pubsub", "pubsub::PubSubModule", "iii_engine.modules.pubsub:PubSubModule", default=True
    ),
    Builtin("iii-cron", "cron::CronModule", "iii_engine.modules.cron:CronModule", default=True),
    Builtin("iii-kv", "kv_server::KvServer", "iii_engine.modules.kv:KvModule"),
    Builtin(EXEC, "shell::ExecModule", "iii_engine.modules.exec:ExecModule"),
    Builtin(
        "iii-bridge", "bridge_client::BridgeClientModule", "iii_engine.modules.bridge:BridgeModule"
    ),
    Builtin(
        "iii-http-functions",
        "http_functions::HttpFunctionsModule",
        "iii_engine.modules.http_functions:HttpFunctionsModule",
    ),
    Builtin("iii-cluster", None, "iii_engine.modules.cluster:ClusterModule"),
    Builtin("iii-sandbox", None),
    Builtin(TELEMETRY, "telemetry::TelemetryModule"),
)

_BY_NAME = {builtin.name: builtin for builtin in BUILTINS}
_BY_NAME |= {
    prefix + builtin.legacy: builtin
    for builtin in BUILTINS
    if builtin.legacy is not None
    for prefix in ("modules::", "workers::")
}


def find(name: str) -> Builtin | None:
    """The built-in of a 0.11 name or of a legacy class; the case counts."""
    return _BY_NAME.get(name)
