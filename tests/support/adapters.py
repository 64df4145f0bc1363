"""Several engines with one module each, on a server that they share."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from msgspec import Raw
from tests.support.desk import Desk
from tests.support.engine import EngineProcess

from iii_sdk.errors import BusError
from iii_sdk.protocol import ErrorBody

#: The adapters of modules that keep records; each but the first is a server.
KINDS = ["kv", "redis", "nats"]


def adapter(kind: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    """The option `adapter` for the server of this test, which is running."""
    if kind in ("kv", "local"):
        return {"name": kind}
    if kind == "bridge":
        engine: EngineProcess = request.getfixturevalue("engine_process")
        return {"name": kind, "config": {"bridge_url": engine.url}}
    server = request.getfixturevalue(f"{kind}_server")
    return {"name": kind, "config": {f"{kind}_url": server.url}}


def call(desk: Desk, function_id: str, data: object = None, **context: Any) -> asyncio.Future[Any]:
    """The result of a call that may be answered later; its error is raised."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def answered(result: Raw, error: ErrorBody | None) -> None:
        if error is not None:
            answer.set_exception(BusError(error.message, code=error.code))
        else:
            answer.set_result(json.loads(bytes(result)))

    desk.engine.call(function_id, json.dumps(data).encode(), answered, **context)
    return answer
