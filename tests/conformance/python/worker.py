"""A worker written with the published Python client, of either generation.

Commands come on stdin, answers go to stdout, one JSON value per line.
Arguments: address, name of the worker, prefix of its function ids.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
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


async def block(seconds: float) -> float:
    time.sleep(seconds)  # noqa: ASYNC251 - as a handler that loads a model does
    return seconds


async def pour(data: Any) -> Any:
    """Write so many bytes into the channel, in pieces of 100 kB; their digest."""
    digest = hashlib.sha256()
    for start in range(0, data["size"], 100_000):
        piece = pattern(start, min(100_000, data["size"] - start))
        digest.update(piece)
        await data["writer"].write(piece)
    await data["writer"].close_async()
    return digest.hexdigest()


def pattern(start: int, size: int) -> bytes:
    """Bytes that no shift or swap leaves the same."""
    return b"".join(n.to_bytes(4, "big") for n in range(start, start + size // 4 + 1))[:size]


async def drink(data: Any) -> Any:
    """Read the channel to its end; how many bytes came, and their digest."""
    digest, size = hashlib.sha256(), 0
    async for piece in data["reader"]:
        digest.update(piece)
        size += len(piece)
    return {"size": size, "sha256": digest.hexdigest()}


async def upload(request: Any) -> Any:
    """What came in the body of a request."""
    return {"body": await drink({"reader": request["request_body"]})}


async def download(request: Any) -> None:
    """As many bytes as the query says; their digest goes before them."""
    size = int(request["query_params"]["size"])
    writer = request["response"]
    body = pattern(0, size)
    digest = hashlib.sha256(body).hexdigest()
    headers = {"content-type": "application/octet-stream", "x-sha256": digest}
    await writer.send_message_async(json.dumps({"type": "set_headers", "headers": headers}))
    for start in range(0, size, 65_536):
        await writer.write(body[start : start + 65_536])
    await writer.close_async()


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


async def on_job(job: Any) -> None:
    """Jobs that say so fail the first time."""
    first = job not in events
    events.append(job)
    if first and job.get("fail"):
        raise RuntimeError("it broke")


async def seen(data: Any) -> Any:
    return events


def main() -> None:
    iii = register_worker(sys.argv[1], InitOptions(worker_name=sys.argv[2] or None))

    async def relay(data: Any) -> Any:
        return await iii.trigger_async(
            {"function_id": data["function_id"], "payload": data["payload"]}
        )

    for function_id, handler in {
        f"{PREFIX}::echo": echo,
        f"{PREFIX}::relay": relay,
        f"{PREFIX}::fail": fail,
        f"{PREFIX}::block": block,
        f"{PREFIX}::pour": pour,
        f"{PREFIX}::drink": drink,
        f"{PREFIX}::upload": upload,
        f"{PREFIX}::download": download,
        f"{PREFIX}::greet": greet,
        f"{PREFIX}::stream": http(stream),
        f"{PREFIX}::on-state": on_state,
        f"{PREFIX}::on-job": on_job,
        f"{PREFIX}::events": seen,
    }.items():
        iii.register_function(function_id, handler)
    for function_id, config in {
        f"{PREFIX}::greet": {"api_path": f"/{PREFIX}/greet/:name", "http_method": "POST"},
        f"{PREFIX}::upload": {"api_path": f"{PREFIX}/upload", "http_method": "POST"},
        f"{PREFIX}::download": {"api_path": f"{PREFIX}/download", "http_method": "GET"},
        f"{PREFIX}::stream": {"api_path": f"{PREFIX}/stream", "http_method": "GET"},
    }.items():
        iii.register_trigger({"type": "http", "function_id": function_id, "config": config})
    iii.register_trigger(
        {"type": "state", "function_id": f"{PREFIX}::on-state", "config": {"scope": "watched"}}
    )
    queue_config = {"maxRetries": 2, "backoffDelayMs": 10}
    iii.register_trigger(
        {
            "type": "durable:subscriber",
            "function_id": f"{PREFIX}::on-job",
            "config": {"topic": f"{PREFIX}.jobs", "queue_config": queue_config},
        }
    )
    actions = {
        "void": TriggerAction.Void(),
        "enqueue": TriggerAction.Enqueue(queue="default"),
        "none": None,
    }
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
