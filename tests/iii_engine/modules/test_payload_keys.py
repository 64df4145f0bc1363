"""What handlers are called with, as strictly typed clients read it (wire protocol 6.6)."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from typing import Any

import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker

HTTP_KEYS = {
    "query_params",
    "path_params",
    "headers",
    "path",
    "method",
    "body",
    "trigger",
    "request_body",
    "response",
}
HTTP_EXTENSIONS = {
    "client_ip",
    "context",
    "query_params_multi",
    "query_string",
    "raw_path",
    "remote_addr",
    "scheme",
}


async def payload(worker: RawWorker, trigger_type: str, config: Any, cause: Any) -> Any:
    """What the function of a trigger gets, after `cause` was called."""
    await worker.register("seen")
    await worker.register_trigger(trigger_type, "seen", config)
    await worker.receive("triggerregistrationresult")
    caused = asyncio.ensure_future(cause())
    invocation = await worker.invoked("seen")
    await worker.answer(invocation, {"status_code": 200})
    await caused
    return invocation["data"]


@pytest.mark.parametrize(
    ("change", "event", "old", "new"),
    [
        (("state::set", {"value": {"n": 1}}), "state:created", None, {"n": 1}),
        (("state::set", {"value": 2}), "state:updated", 1, 2),
        (("state::delete", {}), "state:deleted", 1, None),
    ],
)
async def test_wire_case_64_payload_of_state(
    engine: RunningEngine, change: tuple[str, dict[str, Any]], event: str, old: Any, new: Any
) -> None:
    async with RawWorker(engine.url) as worker:
        where = {"scope": "s", "key": "k"}
        if old is not None:
            await worker.call("state::set", {**where, "value": old})
        function_id, more = change

        async def cause() -> None:
            await worker.call(function_id, {**where, **more})

        assert await payload(worker, "state", {"scope": "s"}, cause) == {
            "type": "state",
            "event_type": event,
            "scope": "s",
            "key": "k",
            "old_value": old,
            "new_value": new,
        }


@pytest.mark.parametrize("data", [{"a": 1}, [1, 2], "text", None])
async def test_wire_case_64_payload_of_subscribe(engine: RunningEngine, data: Any) -> None:
    async with RawWorker(engine.url) as worker:

        async def cause() -> None:
            await worker.call("publish", {"topic": "t", "data": data})

        assert await payload(worker, "subscribe", {"topic": "t"}, cause) == data


async def test_wire_case_64_payload_of_cron(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker:
        config = {"expression": "* * * * * *"}
        data = await payload(worker, "cron", config, lambda: asyncio.sleep(0))
        assert data.keys() == {"trigger", "job_id", "scheduled_time", "actual_time"}
        assert data["trigger"] == "cron"
        assert all(isinstance(value, str) for value in data.values())


async def test_wire_case_64_payload_of_http(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker:

        async def cause() -> None:
            url = f"{engine.http_url}/p/7?a=1&a=2"
            await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=10).read())

        data = await payload(worker, "http", {"api_path": "/p/:id"}, cause)
        assert HTTP_KEYS <= data.keys() <= HTTP_KEYS | HTTP_EXTENSIONS
        assert data["trigger"] == {"type": "http", "path": "/p/:id", "method": "GET"}
        assert data["query_params"] == {"a": "2"}
        assert all(isinstance(value, str) for value in data["headers"].values())
        for end, direction in (("request_body", "read"), ("response", "write")):
            assert data[end].keys() == {"channel_id", "access_key", "direction"}
            assert data[end]["direction"] == direction


async def test_wire_case_64_payload_of_the_engines_own_types(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker:

        async def cause() -> None:
            async with RawWorker(engine.url):
                pass

        data = await payload(worker, "engine::workers-available", None, cause)
        assert data.keys() == {"event", "worker_id"}


async def test_wire_case_64_payload_of_functions_available(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker:

        async def cause() -> None:
            await worker.send("registerfunction", id="new::one")

        data = await payload(worker, "engine::functions-available", None, cause)
        assert data.keys() == {"event", "functions"}
        assert data["event"] == "functions_changed"
        row = next(row for row in data["functions"] if row["function_id"] == "seen")
        assert row.keys() >= {
            "function_id",
            "description",
            "request_format",
            "response_format",
            "metadata",
        }


@pytest.mark.parametrize("data", [{"a": 1}, [1], "text", None])
async def test_wire_case_64_payload_of_queues(engine: RunningEngine, data: Any) -> None:
    async with RawWorker(engine.url) as worker:

        async def cause() -> None:
            await worker.call("iii::durable::publish", {"topic": "t", "data": data})

        assert await payload(worker, "durable:subscriber", {"topic": "t"}, cause) == data


async def test_wire_case_64_payload_of_log(engine: RunningEngine) -> None:
    """The ids and the scope are texts also where there are none: a typed client refuses null."""
    async with RawWorker(engine.url) as worker:

        async def cause() -> None:
            await worker.call("engine::log::warn", {"message": "m", "data": {"k": 1}})

        data = await payload(worker, "log", {"level": "warn"}, cause)
        assert data.keys() >= {
            "timestamp_unix_nano",
            "observed_timestamp_unix_nano",
            "severity_number",
            "severity_text",
            "body",
            "attributes",
            "trace_id",
            "span_id",
            "resource",
            "service_name",
        }
        assert (data["severity_number"], data["severity_text"]) == (13, "WARN")
        texts = (
            "trace_id",
            "span_id",
            "instrumentation_scope_name",
            "instrumentation_scope_version",
        )
        assert all(isinstance(data[name], str) for name in texts)


async def test_wire_case_59_an_http_route_goes_with_its_trigger(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker:
        await worker.register("h")
        trigger = await worker.register_trigger("http", "h", {"api_path": "/gone"})

        def status() -> int:
            try:
                with urllib.request.urlopen(f"{engine.http_url}/gone", timeout=10) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                return error.code

        asking = asyncio.ensure_future(asyncio.to_thread(status))
        await worker.answer(await worker.invoked("h"), {"status_code": 201})
        assert await asking == 201
        await worker.send("unregistertrigger", id=trigger)
        await worker.settle()
        assert await asyncio.to_thread(status) == 404
