"""One HTTP request of a function: authenticate, read, run, wrap; or stream."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from iii_sdk.call import Call
from iii_sdk.channels import ChannelWriter
from iii_sdk.codec import encode
from iii_sdk.envelope import (
    Envelope,
    HttpRequest,
    authenticate,
    envelope_of,
    envelope_of_error,
    error_body,
    read_payload,
)
from iii_sdk.errors import BusError, Unavailable
from iii_sdk.streams import EventStream, event_bytes

if TYPE_CHECKING:
    from iii_sdk.service import Service
    from iii_sdk.worker import Function

log = logging.getLogger("iii.sdk")

_NO_RESULT: Final = b"null"
_END: Final = object()


class Exchange:
    """A request and its answer."""

    def __init__(
        self, function: Function, envelope: Envelope, call: Call, service: Service
    ) -> None:
        self._function = function
        self._envelope = envelope
        self._call = call
        self._service = service
        self._request = call.http = HttpRequest(envelope)
        self._headers = service.worker.headers
        self._route = function.route(self._request)

    async def answer(self) -> bytes:
        """The envelope in JSON; null when the answer went out as a stream."""
        try:
            authenticate(self._request, self._route)
            payload = self._function.handler.payload
            value = None if payload is None else read_payload(payload, self._envelope)
            result = await self._service.invoke(self._function, value, self._call)
            if isinstance(result, EventStream):
                return await self._stream(result)
            return envelope_of(result, self._route, self._headers)
        except BusError as error:
            if error.code == "invocation_failed":
                log.exception("%s failed", self._function.id)
            return envelope_of_error(error, self._route, self._headers)
        except Exception:
            log.exception("%s failed", self._function.id)
            return self._internal()

    def _internal(self) -> bytes:
        error = BusError("internal server error", code="internal")
        return envelope_of_error(error, self._route, self._headers)

    async def _stream(self, stream: EventStream) -> bytes:
        """Send the items as they come. What fails before the first item is a plain error answer."""
        ref = self._request.response_ref
        if ref is None:
            items: Any = await stream.collect()
            return envelope_of(items, self._route, self._headers)
        try:
            writer = await self._service.bus.open_writer(ref)
            try:
                async with writer.while_read():
                    first = await anext(stream.items, _END)
                    await self._send_all(stream, first, writer)
            except asyncio.CancelledError:
                writer.abort()
                raise
            finally:
                await writer.close()
        except Unavailable as error:
            if error.code != "channel_closed":
                raise
        finally:
            await stream.close()
        return _NO_RESULT

    async def _send_all(self, stream: EventStream, first: object, writer: ChannelWriter) -> None:
        headers = {**self._headers, **stream.headers}
        await writer.send_text(_control("set_status", "status_code", stream.status))
        await writer.send_text(_control("set_headers", "headers", headers))
        item = first
        try:
            while item is not _END:
                await writer.send_bytes(event_bytes(item))
                item = await anext(stream.items, _END)
            if stream.done is not None:
                await writer.send_bytes(event_bytes(stream.done))
        except BusError as error:
            if writer.ended.is_set():
                return
            await self._send_error(error, writer)
        except Exception:
            log.exception("%s failed while streaming", self._function.id)
            await self._send_error(BusError("internal server error", code="internal"), writer)

    async def _send_error(self, error: BusError, writer: ChannelWriter) -> None:
        """The status has left; the error is the last event."""
        await writer.send_bytes(event_bytes(error_body(error, self._route)))


def _control(kind: str, name: str, value: object) -> str:
    return encode({"type": kind, name: value}).decode()
