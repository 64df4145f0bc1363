"""What the published clients tell about themselves, on our engine.

Numbers are cases of the wire protocol §18.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support.engine import EngineProcess
from tests.support.published import node_client, python_client
from tests.support.raw_worker import RawWorker
from tests.support.waiting import until, until_sync

OPTIONS = {"otel": {"enabled": True, "metricsExportIntervalMs": 100}}


def test_wire_case_84_gauges_of_node(engine_process: EngineProcess, tmp_path: Path) -> None:
    with closing(node_client(engine_process.url, "gauged", tmp_path, OPTIONS)) as client:

        def vitals() -> Any:
            workers = client.call("engine::workers::list", {})["result"]["workers"]
            return next((w["latest_metrics"] for w in workers if w["name"] == "gauged"), None)

        found = until_sync(vitals, "the gauges have arrived")
        assert found["runtime"] == "node"
        assert found["memory_rss"] > 1_000_000
        assert found["timestamp_ms"] > 0
        reported = client.call("engine::metrics::list", {"metric_name": "iii.worker.memory.rss"})
        assert reported["result"]["sdk_metrics"]


async def test_spans_of_node_are_below_those_of_the_engine(
    engine_process: EngineProcess, tmp_path: Path
) -> None:
    with closing(node_client(engine_process.url, "traced", tmp_path, OPTIONS)) as client:
        until_sync(lambda: "result" in client.call("node::echo", 1), "it has registered")
        client.call("node::relay", {"function_id": "node::echo", "payload": 1})
    # Its end sends what it has not sent yet.
    async with RawWorker(engine_process.url) as worker:

        async def relayed() -> list[tuple[str, str]]:
            query = {"name": "call node::echo", "search_all_spans": True}
            for root in (await worker.call("engine::traces::list", query))["spans"]:
                tree = await worker.call("engine::traces::tree", {"trace_id": root["trace_id"]})
                path = first_path(tree["roots"])
                if len(path) == 6:
                    return path
            return []

        assert await until(relayed) == [
            ("handle_invocation node::relay", "iii"),
            ("call node::relay", "iii"),
            ("call node::relay", "iii-node"),
            ("handle_invocation node::echo", "iii"),
            ("call node::echo", "iii"),
            ("call node::echo", "iii-node"),
        ]


def first_path(nodes: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Name and service from the first root down to the first leaf."""
    if not nodes:
        return []
    node = nodes[0]
    return [(node["name"], node["service_name"]), *first_path(node["children"])]


def test_lines_of_python_are_records(engine_process: EngineProcess, tmp_path: Path) -> None:
    with closing(python_client(engine_process.url, "logging", tmp_path)) as client:
        until_sync(lambda: "result" in client.call("python::echo", 1), "it has registered")
        client.call("engine::log::warn", {"message": "from python", "data": {"k": 1}})
        found = client.call("engine::logs::list", {"severity_text": "WARN"})["result"]["logs"]
        (record,) = [r for r in found if r["body"] == "from python"]
        assert (record["service_name"], record["attributes"]) == ("logging", {"k": 1})
