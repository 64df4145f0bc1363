"""The published client on both ends, in its most favourable setting: no telemetry of its own.

`python -m benchmarks.sdk_published worker|caller URL`.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from iii import InitOptions, register_worker

from benchmarks.driving import ECHO_TEXT, drive


def offer_worker(client: Any) -> None:
    async def echo(data: Any) -> Any:
        return data

    async def get(data: Any) -> Any:
        key = {"scope": "bench", "key": data["id"]}
        return await client.trigger_async({"function_id": "state::get", "payload": key})

    client.register_function("published::echo", echo)
    client.register_function("published::get", get)


def offer_caller(client: Any) -> None:
    async def call() -> object:
        request = {"function_id": "published::echo", "payload": ECHO_TEXT}
        return await client.trigger_async(request)

    async def driven(data: Any) -> Any:
        return {"per_second": await drive(call, data["inflight"], data["seconds"])}

    client.register_function("published::drive", driven)


def main(role: str, url: str) -> None:
    options = InitOptions(otel={"enabled": False}, enable_metrics_reporting=False)
    client = register_worker(url, options)
    offer_worker(client) if role == "worker" else offer_caller(client)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:3])
