"""The call a handler is working on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from iii_sdk.codec import decoder
from iii_sdk.protocol import InvokeFunction

if TYPE_CHECKING:
    from iii_sdk.envelope import HttpRequest


class _Caller(msgspec.Struct):
    caller: str | None = msgspec.field(default=None, name="_caller_worker_id")


_caller_decoder: Final = msgspec.json.Decoder(_Caller)


class Call:
    """Who called what. `http` is the request when the call came through an HTTP route.

    `traceparent` and `baggage` are passed on to every call made while this one is handled.
    """

    __slots__ = ("_message", "baggage", "function_id", "http", "traceparent")

    def __init__(self, message: InvokeFunction) -> None:
        self._message = message
        self.function_id = message.function_id
        self.traceparent = message.traceparent
        self.baggage = message.baggage
        self.http: HttpRequest | None = None

    @property
    def caller(self) -> str | None:
        """The id of the worker that called; None for triggers and payloads that are no object."""
        if self.http is not None:
            return None
        try:
            return _caller_decoder.decode(self._message.data).caller
        except msgspec.DecodeError:
            return None

    @property
    def metadata(self) -> Any:
        """What the caller or the trigger attached, as plain JSON values."""
        return decoder(None)(self._message.metadata)
