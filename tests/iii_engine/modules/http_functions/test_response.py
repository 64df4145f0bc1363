"""What an endpoint answers, as the result of a call."""

from __future__ import annotations

import pytest

from iii_engine.modules.http.payload import read_json
from iii_engine.modules.http_functions.response import result
from iii_engine.net.client.incoming import Response
from iii_sdk.errors import BusError


def test_what_is_nested_too_deeply_is_no_result_and_no_body() -> None:
    for depth in (200, 300, 970):
        body = b"[" * depth + b"]" * depth
        if depth == 200:
            assert bytes(result(Response(200, "OK", body, {}))) == body
            assert bytes(read_json(body)) == body
            continue
        with pytest.raises(BusError, match="too deeply"):
            result(Response(200, "OK", body, {}))
        with pytest.raises(ValueError, match="too deeply"):
            read_json(body)
