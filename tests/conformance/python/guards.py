"""The functions that guard a listener, and some to be guarded, with the published Python client.

Commands come on stdin, answers go to stdout, one JSON value per line.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from iii import (
    AuthInput,
    AuthResult,
    InitOptions,
    MiddlewareFunctionInput,
    OnFunctionRegistrationInput,
    OnFunctionRegistrationResult,
    OnTriggerRegistrationInput,
    OnTriggerRegistrationResult,
    OnTriggerTypeRegistrationInput,
    OnTriggerTypeRegistrationResult,
    register_worker,
)

asked: list[Any] = []


def grant(**fields: Any) -> dict[str, Any]:
    base = {
        "allowed_functions": [],
        "forbidden_functions": [],
        "allow_trigger_type_registration": True,
        "context": {"user_id": "user-1"},
    }
    return AuthResult(**{**base, **fields}).model_dump()


async def auth(data: Any) -> dict[str, Any]:
    asked.append({"auth": data})
    token = AuthInput(**data).headers.get("x-test-token")
    if token is None:
        return grant(context={"role": "anonymous"}, allow_trigger_type_registration=False)
    if token == "valid-token":
        return grant(allowed_functions=["test::ew::valid-token-echo"])
    if token == "restricted-token":
        return grant(forbidden_functions=["test::ew::echo"])
    if token == "prefix-token":
        return grant(function_registration_prefix="test-prefix")
    raise RuntimeError("invalid token")


async def on_function(data: Any) -> dict[str, Any]:
    asked.append({"function": data})
    request = OnFunctionRegistrationInput(**data)
    if request.function_id.startswith("denied::"):
        raise RuntimeError("denied function")
    return OnFunctionRegistrationResult(function_id=request.function_id).model_dump()


async def on_trigger(data: Any) -> dict[str, Any]:
    asked.append({"trigger": data})
    request = OnTriggerRegistrationInput(**data)
    if request.function_id.startswith("denied-trig::"):
        raise RuntimeError("denied trigger")
    return OnTriggerRegistrationResult(trigger_id=request.trigger_id).model_dump()


async def on_trigger_type(data: Any) -> dict[str, Any]:
    asked.append({"type": data})
    request = OnTriggerTypeRegistrationInput(**data)
    if request.trigger_type_id.startswith("denied-tt::"):
        raise RuntimeError("denied trigger type")
    return OnTriggerTypeRegistrationResult().model_dump()


async def echo(data: Any) -> Any:
    return {"echoed": data}


async def valid_token_echo(data: Any) -> Any:
    return {"valid_token": True, "echoed": data}


async def questions(data: Any) -> Any:
    return asked


def main() -> None:
    iii = register_worker(sys.argv[1], InitOptions(worker_name=sys.argv[2]))

    async def middleware(data: Any) -> Any:
        request = MiddlewareFunctionInput(**data)
        who = {"_intercepted": True, "_caller": request.context.get("user_id")}
        return await iii.trigger_async(
            {"function_id": request.function_id, "payload": {**request.payload, **who}}
        )

    for function_id, handler in {
        "test::rbac-worker::auth": auth,
        "test::rbac-worker::middleware": middleware,
        "test::rbac-worker::on-function-reg": on_function,
        "test::rbac-worker::on-trigger-reg": on_trigger,
        "test::rbac-worker::on-trigger-type-reg": on_trigger_type,
        "test::ew::public::echo": echo,
        "test::ew::private": echo,
        "test::ew::echo": echo,
        "test::ew::valid-token-echo": valid_token_echo,
        "test::questions": questions,
    }.items():
        iii.register_function(function_id, handler)
    iii.register_function("test::ew::meta-public", echo, metadata={"ew_public": True})
    for line in sys.stdin:
        command = json.loads(line)
        result = iii.trigger({"function_id": command["function_id"], "payload": command["payload"]})
        print(json.dumps({"result": result}), flush=True)
    iii.shutdown()


if __name__ == "__main__":
    main()
