"""What a handler's signature says: its payload, what is injected, its JSON Schemas."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import inspect
import typing
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec
from msgspec import Raw

from iii_sdk.bus import Bus
from iii_sdk.call import Call
from iii_sdk.codec import decoder, invalid, schema
from iii_sdk.coercion import Coercion
from iii_sdk.errors import InvalidInput
from iii_sdk.protocol import NULL, is_null
from iii_sdk.streams import EventStream, Response

#: Added by the engine to every object payload; only `Call.caller` shows it.
CALLER_KEY: Final = "_caller_worker_id"

_MISSING: Final = inspect.Parameter.empty


class Payload:
    """The payload parameter of a handler: its type, how it is read, what stands for null."""

    __slots__ = (
        "_coercion",
        "_decode",
        "_has_default",
        "_null_is_empty",
        "_strip",
        "default",
        "kind",
        "name",
    )

    def __init__(self, name: str, kind: Any, default: Any) -> None:
        self.name = name
        self.kind = Any if kind is _MISSING else kind
        self._has_default = default is not _MISSING
        self.default = default
        self._decode = decoder(self.kind)
        self._null_is_empty = is_record(self.kind) or is_mapping(self.kind)
        self._strip = not is_record(self.kind) or is_strict(self.kind)
        self._coercion = Coercion(self.kind) if is_record(self.kind) else None

    def read(self, data: Raw | bytes) -> Any:
        """Decode and validate. Raises `InvalidInput` that names the field."""
        if len(data) == 4 and is_null(Raw(data)):
            if self._has_default:
                return self.default
            if self._null_is_empty:
                data = b"{}"
        elif self._strip and memoryview(data)[0] == 0x7B:
            data = without_caller(data)
        try:
            return self._decode(data)
        except msgspec.DecodeError as error:
            raise invalid(error) from None

    def convert(self, value: object) -> Any:
        """As `read`, from plain values. Strings stand for nothing but strings here."""
        if value is None and self._has_default:
            return self.default
        if value is None and self._null_is_empty:
            value = {}
        try:
            return msgspec.convert(value, self.kind, str_keys=True)
        except msgspec.ValidationError as error:
            raise invalid(error) from None

    def declares(self, name: str) -> bool:
        """Whether the payload is a record with a field of this name."""
        return self._coercion is not None and self._coercion.declares(name)

    def coerced(self, values: Mapping[str, str]) -> dict[str, object]:
        """Strings from query or path as the values of their fields."""
        return dict(values) if self._coercion is None else self._coercion.apply(values)


class Handler:
    """A function with everything needed to call it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = getattr(function, "__qualname__", repr(function))
        self.is_stream = inspect.isasyncgenfunction(function)
        self.is_async = self.is_stream or inspect.iscoroutinefunction(function)
        self.payload: Payload | None = None
        self.bus_name: str | None = None
        self.call_name: str | None = None
        hints = _hints(function, self.name)
        for parameter in inspect.signature(function).parameters.values():
            self._place(parameter, hints.get(parameter.name, parameter.annotation))
        self.response_schema = _response_schema(hints.get("return"))
        self._check()

    @property
    def request_schema(self) -> Raw:
        return NULL if self.payload is None else schema(self.payload.kind)

    def _check(self) -> None:
        if self.bus_name is not None and not self.is_async:
            raise TypeError(f"{self.name}: a handler that uses the bus must be `async def`")

    def _place(self, parameter: inspect.Parameter, kind: Any) -> None:
        if kind is Bus or (kind is _MISSING and parameter.name == "bus"):
            self.bus_name = parameter.name
        elif kind is Call or (kind is _MISSING and parameter.name == "call"):
            self.call_name = parameter.name
        elif self.payload is None and parameter.kind in (
            inspect.Parameter.POSITIONAL_ONLY,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
        ):
            self.payload = Payload(parameter.name, kind, parameter.default)
        elif parameter.default is _MISSING and parameter.kind not in (
            inspect.Parameter.VAR_POSITIONAL,
            inspect.Parameter.VAR_KEYWORD,
        ):
            raise TypeError(
                f"{self.name}: parameter {parameter.name!r} is neither the payload (the first one) "
                "nor annotated as Bus or Call"
            )

    async def invoke(
        self, value: Any, bus: Bus, call: Call, pool: Callable[[], ThreadPoolExecutor]
    ) -> Any:
        """Call the function with a payload that `read` or `convert` made."""
        injected: dict[str, Any] = {}
        if self.bus_name is not None:
            injected[self.bus_name] = bus
        if self.call_name is not None:
            injected[self.call_name] = call
        arguments = () if self.payload is None else (value,)
        if self.is_stream:
            return EventStream(self.function(*arguments, **injected))
        if self.is_async:
            result = await self.function(*arguments, **injected)
        else:
            context = contextvars.copy_context()
            result = await asyncio.get_running_loop().run_in_executor(
                pool(), lambda: context.run(self.function, *arguments, **injected)
            )
        return EventStream(result) if isinstance(result, AsyncIterator) else result


def is_record(kind: Any) -> bool:
    """A type with named fields: Struct, dataclass or TypedDict."""
    origin = typing.get_origin(kind) or kind
    return isinstance(origin, type) and (
        issubclass(origin, msgspec.Struct)
        or dataclasses.is_dataclass(origin)
        or typing.is_typeddict(origin)
    )


def is_strict(kind: Any) -> bool:
    """Whether a record refuses fields it does not know."""
    origin = typing.get_origin(kind) or kind
    return issubclass(origin, msgspec.Struct) and bool(
        origin.__struct_config__.forbid_unknown_fields
    )


def is_mapping(kind: Any) -> bool:
    origin = typing.get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, Mapping)


_SUFFIX_HEAD: Final = b'"_caller_worker_id":"'
_SUFFIX_SIZE: Final = len(_SUFFIX_HEAD) + 36 + len(b'"}')


def without_caller(data: Raw | bytes) -> bytes:
    """An object payload without the engine's extra key, which our engine puts last."""
    text = bytes(data)
    start = len(text) - _SUFFIX_SIZE
    if start >= 1 and text.startswith(_SUFFIX_HEAD, start) and text[start - 1] in b",{":
        return text[: start - 1] + b"}" if text[start - 1] == 0x2C else b"{}"
    if _SUFFIX_HEAD not in text:
        return text
    try:
        value = msgspec.json.decode(text, type=dict[str, Raw])
    except msgspec.DecodeError as error:
        raise InvalidInput(str(error)) from None
    value.pop(CALLER_KEY, None)
    return msgspec.json.encode(value)


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(inspect.unwrap(function), include_extras=True)
    except NameError as error:
        raise TypeError(
            f"{name}: {error}; types in a handler's annotations must be defined in its module"
        ) from None


def _response_schema(kind: Any) -> Raw:
    origin = typing.get_origin(kind) or kind
    if isinstance(origin, type) and issubclass(origin, (Response, EventStream, AsyncIterator)):
        return NULL
    return NULL if kind is type(None) else schema(kind)
