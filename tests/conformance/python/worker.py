"""A worker written with the published Python client, of either generation.

Commands come on stdin, answers go to stdout, one JSON value per line.
Arguments: address, name of the worker, prefix of its function ids.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from iii import InitOptions, TriggerAction, register_worker

try:
    from iii import http
except ImportError:  # the newer generation has a package for it
    from iii_helpers.http import http

PREFIX = sys.argv[3] if len(sys.argv) > 3 else "python"

events: list[Any] = []


async def echo(data: Any) -> Any:
    return data


async def fail(data: Any) -> Any:
    raise RuntimeError("it broke")


async def greet(request: Any) -> Any:
    return {
        "status_code": 201,
        "headers": {"x-made-by": PREFIX},
        "body": {
            "hello": request["path_params"]["name"],
            "body": request["body"],
            "query": request["query_params"],
        },
    }


async def stream(request: Any, response: Any) -> None:
    await response.status(202)
    await response.headers({"content-type": "text/event-stream"})
    for n in (1, 2, 3):
        await response.writer.write(f"data: {n}\n\n".encode())
    await response.writer.close_async()


async def on_state(event: Any) -> None:
    events.append(event)


async def seen(data: Any) -> Any:
    return events


def main() -> None:
    iii = register_worker(sys.argv[1], InitOptions(worker_name=sys.argv[2]))

    async def relay(data: Any) -> Any:
        return await iii.trigger_async(
            {"function_id": data["function_id"], "payload": data["payload"]}
        )

    for function_id, handler in {
        f"{PREFIX}::echo": echo,
        f"{PREFIX}::relay": relay,
        f"{PREFIX}::fail": fail,
        f"{PREFIX}::greet": greet,
        f"{PREFIX}::stream": http(stream),
        f"{PREFIX}::on-state": on_state,
        f"{PREFIX}::events": seen,
    }.items():
        iii.register_function(function_id, handler)
    for function_id, config in {
        f"{PREFIX}::greet": {"api_path": f"/{PREFIX}/greet/:name", "http_method": "POST"},
        f"{PREFIX}::stream": {"api_path": f"{PREFIX}/stream", "http_method": "GET"},
    }.items():
        iii.register_trigger({"type": "http", "function_id": function_id, "config": config})
    iii.register_trigger(
        {"type": "state", "function_id": f"{PREFIX}::on-state", "config": {"scope": "watched"}}
    )
    actions = {"void": TriggerAction.Void(), "none": None}
    for line in sys.stdin:
        command = json.loads(line)
        try:
            result = iii.trigger(
                {
                    "function_id": command["function_id"],
                    "payload": command["payload"],
                    "action": actions[command.get("action", "none")],
                    "timeout_ms": command.get("timeoutMs"),
                }
            )
            answer: dict[str, Any] = {"result": result}
        except Exception as error:  # noqa: BLE001 - whatever the client raises is the answer
            answer = {"error": {"code": getattr(error, "code", "unknown"), "message": str(error)}}
        print(json.dumps(answer), flush=True)
    iii.shutdown()


if __name__ == "__main__":
    main()
