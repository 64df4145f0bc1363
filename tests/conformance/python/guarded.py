"""A worker on a guarded listener, with the published Python client; its name is its token.

Commands come on stdin, answers go to stdout, one JSON value per line. `do` is `call`, `function`,
`unregister`, `trigger` or `type`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from iii import IIIForbiddenError, InitOptions, TriggerHandler, register_worker

bound: list[Any] = []
functions: dict[str, Any] = {}


class Handler(TriggerHandler[Any]):
    async def register_trigger(self, config: Any) -> None:
        bound.append({"id": config.id, "function_id": config.function_id, "config": config.config})

    async def unregister_trigger(self, config: Any) -> None:
        pass


def perform(iii: Any, command: dict[str, Any]) -> Any:
    match command.get("do", "call"):
        case "function":
            function_id = command["id"]

            async def answer(data: Any) -> Any:
                return {"called": function_id, "data": data}

            functions[function_id] = iii.register_function(function_id, answer)
        case "unregister":
            functions.pop(command["id"]).unregister()
        case "trigger":
            iii.register_trigger(command["trigger"])
        case "type":
            iii.register_trigger_type({"id": command["id"], "description": "d"}, Handler())
        case "bound":
            return bound
        case _:
            return iii.trigger(
                {
                    "function_id": command["function_id"],
                    "payload": command["payload"],
                    "timeout_ms": command["timeoutMs"],
                }
            )
    return None


def main() -> None:
    token = sys.argv[2]
    headers = {} if token == "anonymous" else {"X-Test-Token": token}
    iii = register_worker(sys.argv[1], InitOptions(worker_name=token, headers=headers))
    for line in sys.stdin:
        try:
            answer = {"result": perform(iii, json.loads(line))}
        except IIIForbiddenError as error:
            answer = {
                "error": {
                    "code": error.code,
                    "message": error.message,
                    "function_id": error.function_id,
                }
            }
        except Exception as error:  # noqa: BLE001 - whatever the client raises is the answer
            answer = {"error": {"code": getattr(error, "code", "unknown"), "message": str(error)}}
        print(json.dumps(answer), flush=True)
    iii.shutdown()


if __name__ == "__main__":
    main()
