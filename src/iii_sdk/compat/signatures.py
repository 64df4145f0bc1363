"""What a handler's signature says: which arguments it takes, what its payload is made into."""

from __future__ import annotations

import inspect
import logging
import typing
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw

from iii_sdk.codec import describe, plain_decoder
from iii_sdk.compat.channels import ChannelMaker, ChannelReader, ChannelWriter, resolved
from iii_sdk.errors import BusError, InvalidInput
from iii_sdk.handlers import is_record, without_caller
from iii_sdk.protocol import InvokeFunction

log = logging.getLogger("iii.sdk")

Read: TypeAlias = Callable[[Raw], Any]

_plain = plain_decoder()


class Handler:
    """A handler: `(data)`, `(data, metadata)`, `(data, *, metadata)` or without arguments.

    Data are plain JSON values with the ends of channels in place of their references. A parameter
    annotated with a pydantic model, a dataclass, a TypedDict or a msgspec Struct (also inside of a
    list, an optional, …) is validated and gets an instance; references stay references there,
    except in fields of the types `ChannelReader` and `ChannelWriter` of dataclasses and Structs.
    """

    def __init__(
        self, function_id: str, function: Callable[..., Any], channels: ChannelMaker
    ) -> None:
        self.function_id = function_id
        self.function = function
        self.is_async = is_async(function)
        self._takes_data = False
        self._takes_metadata: str | None = None
        positional = self._parameters()
        kind = _kind(function, positional[0]) if positional else None
        self._read = _reader(kind, channels)

    def _parameters(self) -> list[inspect.Parameter]:
        """The positional parameters. Raises `TypeError` for a signature that cannot be called."""
        try:
            parameters = inspect.signature(self.function).parameters.values()
        except ValueError:  # some builtins do not tell
            self._takes_data = True
            return []
        positional = [
            p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        required = [p for p in positional if p.default is p.empty]
        named = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
        self._takes_data = bool(positional) or any(p.kind is p.VAR_POSITIONAL for p in parameters)
        if len(positional) > 1 and (len(required) > 1 or positional[1].name == "metadata"):
            self._takes_metadata = "positional"
        elif any(p.name == "metadata" for p in named):
            self._takes_metadata = "keyword"
        extra = [p.name for p in named if p.default is p.empty and p.name != "metadata"]
        if len(required) > 2 or extra:
            raise TypeError(f"handler of {self.function_id}: expected (data) or (data, metadata)")
        return positional

    def bound(self, message: InvokeFunction) -> Callable[[], Any]:
        """The call of the function with this message's payload.

        Raises `BusError` with code `deserialization_error` that names the field.
        """
        try:
            data = (self._read(message.data),) if self._takes_data else ()
        except (msgspec.DecodeError, InvalidInput, ValueError) as error:
            text = f"Failed to deserialize input for {self.function_id}: {_reason(error)}"
            raise BusError(text, code="deserialization_error") from None
        if self._takes_metadata is None:
            return lambda: self.function(*data)
        metadata = _plain(message.metadata)
        if self._takes_metadata == "positional":
            return lambda: self.function(*data, metadata)
        return lambda: self.function(*data, metadata=metadata)


def is_async(function: Callable[..., Any]) -> bool:
    """Whether a call gives a coroutine."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object with an async call
    )


def _kind(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    hints = type_hints(function)
    return hints.get(parameter.name)


def type_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The evaluated annotations; none when they cannot be evaluated."""
    target = function
    if not inspect.isroutine(function) and not inspect.isclass(function):
        target = getattr(function, "func", None) or type(function).__call__
    try:
        return typing.get_type_hints(target, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        log.debug("annotations of %r are not used: %s", function, error)
        return {}


def is_pydantic(kind: Any) -> bool:
    """Whether a type is a pydantic model."""
    return (
        isinstance(kind, type)
        and hasattr(kind, "model_validate")
        and hasattr(kind, "model_json_schema")
    )


def _mentions(kind: Any, matches: Callable[[Any], bool]) -> bool:
    return matches(kind) or any(_mentions(part, matches) for part in typing.get_args(kind))


def _reader(kind: Any, channels: ChannelMaker) -> Read:
    if _mentions(kind, is_pydantic):
        return _pydantic_reader(kind)
    if _mentions(kind, is_record):
        return _record_reader(kind, channels)
    return lambda data: resolved(data, _plain(data), channels)


def _pydantic_reader(kind: Any) -> Read:
    from pydantic import TypeAdapter

    validate = TypeAdapter(kind).validate_python

    def read(data: Raw) -> Any:
        value = _plain(data)
        if isinstance(value, dict):
            value.pop("_caller_worker_id", None)
        return validate(value)

    return read


def _record_reader(kind: Any, channels: ChannelMaker) -> Read:
    def channel_end(wanted: type, value: Any) -> Any:
        if wanted in (ChannelReader, ChannelWriter):
            end = channels(value) if isinstance(value, dict) else None
            if isinstance(end, wanted):
                return end
        raise ValueError(f"expected {wanted.__name__}")

    decode = msgspec.json.Decoder(kind, dec_hook=channel_end).decode
    empty = is_record(kind)

    def read(data: Raw) -> Any:
        text = bytes(data)
        if text == b"null" and empty:
            return decode(b"{}")
        return decode(without_caller(text) if text.startswith(b"{") else text)

    return read


def _reason(error: Exception) -> str:
    if isinstance(error, msgspec.DecodeError):
        return describe(error)
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    found = errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{_path(item['loc'])}: {item['msg']}" for item in found)


def _path(location: tuple[str | int, ...]) -> str:
    return "$" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in location)
