"""The security worker as a whole: its file, its routes, what it offers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
import yaml
from tests.support.engine import RunningEngine

import agentos.workers.security as package
from agentos.workers.security.worker import worker
from iii_sdk import Bus
from iii_sdk.protocol import is_null

OFFERED = {
    "security::check_capability",
    "security::set_capabilities",
    "security::audit",
    "security::verify_audit",
    "security::scan_injection",
    "security::sign_manifest",
    "security::verify_manifest",
    "security::docker_exec",
    "taint::label",
    "taint::check",
    "taint::declassify",
    "policy::check",
    "policy::set_rules",
    "policy::get_rules",
}


@pytest.fixture(autouse=True)
def api_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTOS_API_KEY", "secret")


def client(engine: RunningEngine, key: str = "secret") -> httpx2.AsyncClient:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx2.AsyncClient(base_url=engine.http_url, headers=headers)


def test_the_worker_file_agrees_with_the_code() -> None:
    manifest = yaml.safe_load(
        (Path(package.__file__).parent / "iii.worker.yaml").read_text(encoding="utf-8")
    )
    assert (manifest["name"], manifest["language"]) == (worker.name, "python")
    assert set(worker.functions) == OFFERED
    assert all(function.description for function in worker.functions.values())
    assert all(
        f.handler.payload is None or not is_null(f.request_format)
        for f in worker.functions.values()
    )
    assert all(f.metadata == {"category": "security"} for f in worker.functions.values())


async def test_security_case_15_verify_over_http(engine: RunningEngine, bus: Bus) -> None:
    for path in ("/api/security/audit/verify", "/security/audit/verify"):
        async with client(engine, key="") as stranger:
            assert (await stranger.get(path)).status_code == 401
        async with client(engine) as http:
            answer = await http.get(path)
        assert answer.status_code == 200
        assert answer.json() == {"valid": True, "entries": 0, "violations": []}


async def test_security_case_8_scan_over_http_and_bus(engine: RunningEngine, bus: Bus) -> None:
    by_text = await bus.call("security::scan_injection", {"text": "jailbreak"})
    assert await bus.call("security::scan_injection", {"content": "jailbreak"}) == by_text
    assert (await bus.call("security::scan_injection", {}))["safe"]
    async with client(engine) as http:
        for path in ("/api/security/scan", "/security/scan"):
            answer = await http.post(path, json={"text": "jailbreak"})
            assert (answer.status_code, answer.json()) == (200, by_text)


async def test_capability_over_http(engine: RunningEngine, bus: Bus) -> None:
    async with client(engine) as http:
        path = "/api/security/capability"
        denied = await http.post(path, json={"agentId": "a1", "resource": "x"})
        assert denied.status_code == 403
        assert denied.json() == {
            "allowed": False,
            "error": "Agent a1 has no capabilities defined",
        }
        missing = await http.post(path, json={"resource": "x"})
        assert missing.status_code == 400
        assert missing.json()["error"] == "agentId is required"


def test_importing_loads_no_heavy_library() -> None:
    """All workers share a process: what few calls need is loaded at the first of them."""
    code = (
        "import sys, json, agentos.workers.security.worker, agentos.workers.memory.worker;"
        "print(json.dumps(sorted(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert not {"cryptography", "numpy", "httpx2"}.intersection(json.loads(output))
