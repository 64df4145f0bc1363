"""Numbers are those of the engine-modules cases unless the name says wire."""

from __future__ import annotations

import pytest

from tests.support.engine import RunningEngine
from tests.support.raw_worker import CallFailed, RawWorker

METADATA = {
    "runtime": "python",
    "version": "0.11.6",
    "name": "embedding",
    "os": "Linux",
    "pid": 4242,
    "isolation": None,
}


async def test_case_19_unknown_function(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker:
        with pytest.raises(CallFailed) as caught:
            await worker.call("nope", {})
    assert (caught.value.code, caught.value.message) == (
        "function_not_found",
        "Function nope not found",
    )


async def test_case_23_functions_list_hides_the_engine_by_default(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker:
        plain = await worker.call("engine::functions::list", {})
        all_of_them = await worker.call("engine::functions::list", {"include_internal": True})
    assert not [f for f in plain["functions"] if f["function_id"].startswith("engine::")]
    assert "engine::workers::list" in [f["function_id"] for f in all_of_them["functions"]]
