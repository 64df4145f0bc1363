"""A worker that keeps a stream and guards streams, with the published Python client.

Commands come on stdin, answers go to stdout, one JSON value per line.
Arguments: address, name of the worker, prefix of its function ids.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from iii import InitOptions, register_worker
from iii.stream import IStream

try:
    from iii.stream import (
        StreamAuthInput,
        StreamDeleteResult,
        StreamJoinLeaveEvent,
        StreamSetResult,
    )
except ImportError:  # the newer generation has a package for it
    from iii_helpers.stream import (
        StreamAuthInput,
        StreamDeleteResult,
        StreamJoinLeaveEvent,
        StreamSetResult,
    )

URL, NAME, PREFIX = sys.argv[1:4]
KEPT = f"kept-{PREFIX}"

heard: dict[str, list[Any]] = {"changed": [], "joined": [], "left": []}


class Kept(IStream[Any]):
    """Items of a stream, by group."""

    def __init__(self) -> None:
        self.groups: dict[str, dict[str, Any]] = {}

    async def get(self, input: Any) -> Any:
        return self.groups.get(input.group_id, {}).get(input.item_id)

    async def set(self, input: Any) -> Any:
        group = self.groups.setdefault(input.group_id, {})
        old = group.get(input.item_id)
        group[input.item_id] = input.data
        return StreamSetResult[Any](old_value=old, new_value=input.data)

    async def delete(self, input: Any) -> Any:
        return StreamDeleteResult(
            old_value=self.groups.get(input.group_id, {}).pop(input.item_id, None)
        )

    async def list(self, input: Any) -> Any:
        return list(self.groups.get(input.group_id, {}).values())

    async def list_groups(self, input: Any) -> Any:
        return sorted(self.groups)

    async def update(self, input: Any) -> Any:
        raise NotImplementedError


async def auth(data: Any) -> Any:
    asked = StreamAuthInput(**data)
    if "x-user" not in asked.headers:
        raise PermissionError("who are you?")
    return {"context": {"user": asked.headers["x-user"], "query": asked.query_params}}


async def join(data: Any) -> Any:
    event = StreamJoinLeaveEvent(**data)
    heard["joined"].append(data)
    return {"unauthorized": event.group_id == "secret"}


async def leave(data: Any) -> None:
    StreamJoinLeaveEvent(**data)
    heard["left"].append(data)


async def changed(data: Any) -> None:
    heard["changed"].append(data)


async def tell(data: Any) -> Any:
    return heard


def main() -> None:
    iii = register_worker(URL, InitOptions(worker_name=NAME))
    try:
        from iii.helpers import create_stream
    except ImportError:
        iii.create_stream(KEPT, Kept())
    else:
        create_stream(iii, KEPT, Kept())
    handlers = {"auth": auth, "join": join, "leave": leave, "changed": changed, "heard": tell}
    for name, handler in handlers.items():
        iii.register_function(f"{PREFIX}::{name}", handler)
    for kind, name in {"stream": "changed", "stream:join": "join", "stream:leave": "leave"}.items():
        function_id = f"{PREFIX}::{name}"
        config = {"stream_name": KEPT}
        iii.register_trigger({"type": kind, "function_id": function_id, "config": config})
    for line in sys.stdin:
        command = json.loads(line)
        question = {"function_id": command["function_id"], "payload": command["payload"]}
        try:
            answer: dict[str, Any] = {"result": iii.trigger(question)}
        except Exception as error:  # noqa: BLE001 - whatever the client raises is the answer
            answer = {"error": {"code": getattr(error, "code", "unknown"), "message": str(error)}}
        print(json.dumps(answer), flush=True)
    iii.shutdown()


if __name__ == "__main__":
    main()
