from __future__ import annotations

import json
import subprocess
import sys

import msgspec
import pytest

from iii_engine.modules.catalogue import BUILTINS, find


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("iii-http", "iii-http"),
        ("modules::api::RestApiModule", "iii-http"),
        ("workers::api::RestApiModule", "iii-http"),
        ("modules::worker::WorkerModule", "iii-worker-manager"),
        ("modules::observability::OtelModule", "iii-observability"),
        ("modules::telemetry::TelemetryModule", "iii-telemetry"),
    ],
)
def test_names_and_legacy_classes(name: str, kind: str) -> None:
    found = find(name)
    assert found is not None
    assert found.name == kind


@pytest.mark.parametrize("name", ["III-HTTP", "modules::api::restapimodule", "api::RestApiModule"])
def test_other_spellings_are_unknown(name: str) -> None:
    assert find(name) is None


#: The options without which a module cannot be configured.
REQUIRED = {"iii-exec": {"exec": ["true"]}}


@pytest.mark.parametrize("builtin", [b for b in BUILTINS if b.available], ids=lambda b: b.name)
def test_available_modules_load_and_agree_about_their_kind(builtin: object) -> None:
    found = find(builtin.name)  # type: ignore[attr-defined]
    assert found is not None
    module = found.load()
    assert module.kind == found.name
    assert msgspec.convert(REQUIRED.get(found.name, {}), module.Options) is not None


def test_modules_are_imported_only_when_loaded() -> None:
    code = (
        "import json, sys, iii_engine.modules.catalogue;"
        "print(json.dumps([m for m in sys.modules if m.startswith('iii_engine.modules.')]))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.removeprefix("iii_engine.modules.") for name in json.loads(out.stdout)}
    assert loaded == {"base", "catalogue", "component", "shared_type", "steps"}
