"""The memory worker as a whole: its file, its routes, what it offers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from tests.support.engine import RunningEngine

import agentos.workers.memory as package
from agentos.workers.memory.worker import worker
from iii_sdk.protocol import is_null

OFFERED = {
    "memory::store",
    "memory::recall",
    "memory::search",
    "memory::forget",
    "memory::changed",
    "memory::embed",
    "memory::evict",
    "memory::consolidate",
    "memory::kg::add",
    "memory::kg::query",
    "memory::session::list",
    "memory::session::compact",
    "memory::session::repair",
    "memory::session_search",
    "memory::user_profile::update",
    "memory::user_profile::get",
    "reflect::check_turn",
    "reflect::curate_memory",
    "reflect::discover_skills",
}
ALIASES = {"memory::remember", "memory::query", "memory::delete"}
CRON = {"memory::evict": "0 0 3 * * *", "memory::consolidate": "0 0 */6 * * *"}


def test_the_worker_file_agrees_with_the_code() -> None:
    manifest = yaml.safe_load(
        (Path(package.__file__).parent / "iii.worker.yaml").read_text(encoding="utf-8")
    )
    assert (manifest["name"], manifest["language"]) == (worker.name, "python")
    assert set(worker.functions) == OFFERED
    assert {alias for f in worker.functions.values() for alias in f.aliases} == ALIASES
    assert all(function.description for function in worker.functions.values())
    assert all(
        f.handler.payload is None or not is_null(f.request_format)
        for f in worker.functions.values()
    )
    for function_id, function in worker.functions.items():
        category = "reflect" if function_id.startswith("reflect") else "memory"
        assert function.metadata == {"category": category}


def test_the_upkeep_runs_by_the_clock() -> None:
    bound = {
        function_id: binding.config["expression"]
        for function_id, function in worker.functions.items()
        for binding in function.bindings
        if binding.trigger_type == "cron"
    }
    assert bound == CRON


async def test_routes(engine: RunningEngine, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTOS_API_KEY", "secret")
    body = {"agentId": "a1", "content": "over http", "sessionId": "s", "query": "http"}
    posts: dict[str, Any] = {
        "/api/memory/store": body,
        "/api/memory/recall": body,
        "/api/memory/search": body,
        "/api/memory/session-search": body,
        "/api/memory/profile/update": {"agentId": "a1", "updates": {"k": 1}},
        "/api/reflect/check": body,
        "/api/reflect/curate": body,
        "/api/reflect/discover-skills": body,
    }
    async with httpx2.AsyncClient(base_url=engine.http_url) as http:
        for path, data in posts.items():
            assert (await http.post(path, json=data)).status_code == 401
        http.headers["authorization"] = "Bearer secret"
        for path, data in posts.items():
            answer = await http.post(path, json=data)
            assert answer.status_code == 200, answer.text
        profile = await http.get("/api/memory/profile/a1")
        assert profile.json()["k"] == 1
        none = await http.get("/api/memory/profile/nobody")
        assert (none.status_code, none.json()) == (200, None)
        refused = await http.post("/api/memory/profile/update", json={"agentId": "a1"})
        assert (refused.status_code, refused.json()["error"]) == (400, "updates is required")
