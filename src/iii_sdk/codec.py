"""JSON in and out, with errors that name the field."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Raw

from iii_sdk.errors import BusError, InvalidInput
from iii_sdk.protocol import NULL, tolerant_raw, tolerant_value

encode: Final = msgspec.json.Encoder().encode

Decode = Callable[[Raw | bytes], Any]

_AT: Final = re.compile(r"^(?P<what>.*) - at `(?P<path>[^`]*)`$", re.DOTALL)
_FIELD: Final = re.compile(
    r"^Object (?P<what>missing required|contains unknown) field `(?P<field>.*)`$"
)


def dump(value: object) -> bytes:
    """A value as JSON. What only a tolerant writer can write (integers beyond 64 bit, lone
    surrogates) is written too. Raises `BusError` with code `serialization_error`."""
    try:
        return encode(value)
    except (OverflowError, UnicodeEncodeError):
        return bytes(tolerant_raw(msgspec.to_builtins(value)))
    except TypeError as error:
        raise BusError(str(error), code="serialization_error") from None


def describe(error: msgspec.ValidationError | msgspec.DecodeError) -> str:
    """The error as `$.path: what is wrong`."""
    text = str(error)
    path = "$"
    if match := _AT.match(text):
        text, path = match["what"], match["path"]
    if match := _FIELD.match(text):
        what = "missing" if match["what"].startswith("missing") else "unknown field"
        return f"{path}.{match['field']}: {what}"
    text = text.replace("`", "")
    return f"{path}: {text[:1].lower()}{text[1:]}"


def plain_decoder() -> Decode:
    """Any JSON as plain values; what only a tolerant reader accepts is read too."""
    decode = msgspec.json.Decoder().decode

    def read(data: Raw | bytes) -> Any:
        try:
            return decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return tolerant_value(bytes(data))

    return read


_plain: Final = plain_decoder()
_decoders: dict[Any, Decode] = {None: _plain, Any: _plain, object: _plain, Raw: lambda raw: raw}


def decoder(kind: Any) -> Decode:
    """The decoder of a type; `None`, `Any` and `object` mean plain JSON values."""
    try:
        found = _decoders.get(kind)
    except TypeError:  # not hashable
        return msgspec.json.Decoder(kind).decode
    if found is None:
        found = _decoders[kind] = msgspec.json.Decoder(kind).decode
    return found


def read_result(data: Raw, kind: Any, function_id: str) -> Any:
    """The result of a call as `kind`. Raises `BusError` when it has another shape."""
    try:
        return decoder(kind)(data)
    except msgspec.DecodeError as error:
        raise BusError(
            f"result of {function_id}: {describe(error)}",
            code="deserialization_error",
            function_id=function_id,
        ) from None


def invalid(error: msgspec.DecodeError) -> InvalidInput:
    return InvalidInput(describe(error))


def schema(kind: Any) -> Raw:
    """The JSON Schema of a type as bytes; null when the type has none."""
    if kind in (None, Any, object, Raw):
        return NULL
    try:
        return Raw(encode(msgspec.json.schema(kind, schema_hook=_any_json)))
    except TypeError:  # a type that JSON Schema cannot say
        return NULL


def _any_json(kind: type) -> dict[str, object]:
    """The schema of what msgspec knows none for: fields annotated `object` take any JSON."""
    if kind is object:
        return {"description": "any JSON value"}
    raise NotImplementedError
