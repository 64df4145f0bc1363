"""What happens before a handler besides reading the body: middleware and conditions."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from iii_engine.modules.http import failure
from iii_engine.modules.http.request import Request
from iii_sdk.protocol import NULL, ErrorBody


class Verdict(Struct):
    """What a middleware function returns."""

    action: Literal["continue", "respond"]
    context: dict[str, Raw] | None = None
    response: Raw = NULL


async def run(request: Request) -> None:
    """Take a request through the order of execution of `iii-http`, up to calling its handler."""
    for function_id in request.gateway.middleware:
        if not await _pass_middleware(request, function_id):
            return
    if not await _read_body(request):
        return
    route = request.route
    if route.condition is not None and not await _meets_condition(request, route.condition):
        return
    for function_id in route.middleware:
        if not await _pass_middleware(request, function_id):
            return
    request.dispatch()


async def _read_body(request: Request) -> bool:
    ready: asyncio.Future[bool] = request.gateway.loop.create_future()
    request.read_body(ready.set_result)
    return await ready


async def _ask(request: Request, function_id: str, payload: bytes) -> tuple[Raw, ErrorBody | None]:
    answer: asyncio.Future[tuple[Raw, ErrorBody | None]] = request.gateway.loop.create_future()

    def on_answer(result: Raw, error: ErrorBody | None) -> None:
        if not answer.done():
            answer.set_result((result, error))

    request.gateway.engine.call(
        function_id,
        payload,
        on_answer,
        timeout_ms=request.gateway.options.default_timeout,
        span=request.span,
        baggage=request.client.head.baggage,
    )
    return await answer


async def _pass_middleware(request: Request, function_id: str) -> bool:
    """Whether the request goes on; otherwise it has been answered."""
    result, error = await _ask(request, function_id, _middleware_input(request))
    if request.exchange.closed:
        request.release()
        return False
    if error is not None:
        if error.code == "timeout":
            request.refuse(504, failure.body_of("Middleware timeout"))
        else:
            request.refuse(500, request.logged(function_id, error))
        return False
    try:
        verdict = msgspec.json.decode(result, type=Verdict)
    except msgspec.DecodeError:
        wrong = ErrorBody("invalid_middleware_response", "Invalid middleware response")
        request.refuse(500, request.logged(function_id, wrong))
        return False
    if verdict.action == "respond":
        request.send_result(
            Raw(b'{"status_code":200}') if verdict.response == NULL else verdict.response
        )
        return False
    if verdict.context:
        known = msgspec.json.decode(request.context, type=dict[str, Raw])
        request.context = msgspec.json.encode(known | verdict.context)
    return True


def _middleware_input(request: Request) -> bytes:
    return b"".join(
        (
            b'{"phase":"preHandler","request":{"path_params":',
            request.params,
            b',"query_params":',
            request.query.last,
            b',"headers":',
            request.client.headers_json(request.id),
            b',"method":"%b","path":%b},"context":'
            % (request.exchange.method.encode(), msgspec.json.encode(request.route.path)),
            request.context,
            b"}",
        )
    )


async def _meets_condition(request: Request, function_id: str) -> bool:
    result, error = await _ask(request, function_id, request.payload(b"}"))
    if request.exchange.closed:
        request.release()
        return False
    if error is not None:
        request.refuse(500, request.logged(function_id, error))
        return False
    if bytes(result) == b"false":
        request.refuse(422, failure.body_of("Request condition not met", skipped=True))
        return False
    return True
