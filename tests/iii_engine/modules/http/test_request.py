"""What a request leaves behind."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from tests.support.waiting import until

from iii_engine.modules.http.request import Request
from iii_engine.net.http_exchange import Exchange


def kept() -> list[object]:
    return [it for it in gc.get_objects() if isinstance(it, (Request, Exchange))]


@pytest.mark.parametrize(
    "sent",
    [
        {"content": b'{"a":1}', "headers": {"content-type": "application/json"}},
        {"content": b"not json", "headers": {"content-type": "application/json"}},
        {"content": b"bytes"},
        {},
    ],
)
@pytest.mark.parametrize("function", ["h", "fails"])
async def test_nothing_is_left_to_the_garbage_collector(
    site: Any, sent: dict[str, Any], function: str
) -> None:
    site.function("h", {"body": 1})
    site.function("fails", error=("boom", "it failed"))
    site.route("/a", function, "POST")
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            await site.client.post("/a", **sent)
        await until(lambda: not kept())
    finally:
        gc.enable()
