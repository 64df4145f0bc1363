"""The messages of the bus: one JSON object per WebSocket text frame.

Shapes follow the published iii wire protocol. Payloads (`data`, `result`, `config`, `metadata`
and the formats) are `msgspec.Raw`: bytes that are carried, never parsed, by whoever only passes
them on. Every optional field treats absent and null alike.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct

from iii_sdk.malformed import MalformedMessage, unreadable

#: Absent and null are the same everywhere, so an opaque field is never None: it is NULL.
NULL: Final = Raw(b"null")


#: Longer ids are refused, in characters: engines remember ids for long, and show them.
MAX_ID: Final = 1024
Id: TypeAlias = Annotated[str, Meta(max_length=MAX_ID)]


class ErrorBody(Struct, omit_defaults=True):
    """Why a call or a registration failed, as it travels on the wire.

    `retry_after`, in seconds, is an extension: when it is worth while to try again. So is
    `details`: what programs may want to know beyond the code.
    """

    code: str
    message: str = ""
    stacktrace: str | None = None
    retry_after: int | float | None = None
    details: dict[str, str] | None = None


class VoidAction(Struct, tag_field="type", tag="void"):
    """Call without an answer."""


#: A time that somebody may ask for: at most a year.
Milliseconds: TypeAlias = Annotated[int, Meta(ge=0, le=365 * 24 * 3_600_000)]


class JobOptions(Struct, omit_defaults=True, kw_only=True):
    """What a producer may ask for a job, an extension; times are in milliseconds.

    On a named queue these keys are those of the function that is called: jobs of different
    functions never are the same one.
    """

    #: How long it waits before it runs.
    delay_ms: Milliseconds = 0
    #: It overtakes those that have waited less than the difference times `priority_aging_ms`.
    priority: Annotated[int, Meta(ge=-1000, le=1000)] = 0
    #: The group whose order, concurrency and rate it keeps to.
    key: Id | None = None
    #: As `idempotency_key`, and the job's id, unless another job has that: the receipt tells.
    message_id: Annotated[str, Meta(min_length=1, max_length=MAX_ID)] | None = None
    #: A second job with the same one is the first one, within `dedupe_window_ms`.
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=MAX_ID)] | None = None
    #: See `idempotency_key`.
    dedupe_window_ms: Milliseconds = 300_000
    #: It waits so long; one with the same `debounce_key` takes its place, and begins the wait anew.
    debounce_ms: Milliseconds = 0
    #: Which jobs take each other's place.
    debounce_key: Id | None = None


class EnqueueAction(JobOptions, tag_field="type", tag="enqueue", omit_defaults=True):
    """Put the call on a named queue; the answer is a receipt."""

    queue: Id


Action: TypeAlias = VoidAction | EnqueueAction


class HttpAuth(Struct, omit_defaults=True):
    """Credentials of an HTTP-invoked function; values name environment variables of the engine."""

    type: Literal["hmac", "bearer", "api_key"]
    secret_key: str | None = None
    token_key: str | None = None
    header: str | None = None
    value_key: str | None = None


class HttpInvocation(Struct, omit_defaults=True):
    """Where the engine sends the calls of a function that has no handler in its worker."""

    url: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    timeout_ms: int | None = None
    headers: dict[str, str] | None = None
    auth: HttpAuth | None = None


class WorkerRegistered(Struct, tag_field="type", tag="workerregistered", omit_defaults=True):
    worker_id: str
    reattach_token: str | None = None


class RegisterFunction(Struct, tag_field="type", tag="registerfunction", omit_defaults=True):
    id: Id
    description: str | None = None
    request_format: Raw = NULL
    response_format: Raw = NULL
    metadata: Raw = NULL
    invocation: HttpInvocation | None = None


class UnregisterFunction(Struct, tag_field="type", tag="unregisterfunction"):
    id: str


class RegisterTriggerType(Struct, tag_field="type", tag="registertriggertype", omit_defaults=True):
    id: Id
    description: str | None = None
    trigger_request_format: Raw = NULL
    call_request_format: Raw = NULL


class UnregisterTriggerType(Struct, tag_field="type", tag="unregistertriggertype"):
    id: str


class RegisterTrigger(Struct, tag_field="type", tag="registertrigger", omit_defaults=True):
    id: Id
    trigger_type: Id
    function_id: Id
    config: Raw = NULL
    metadata: Raw = NULL


class TriggerRegistrationResult(
    Struct, tag_field="type", tag="triggerregistrationresult", omit_defaults=True
):
    id: str
    trigger_type: str = ""
    function_id: str = ""
    error: ErrorBody | None = None


class UnregisterTrigger(Struct, tag_field="type", tag="unregistertrigger", omit_defaults=True):
    id: str
    trigger_type: str | None = None
    function_id: str | None = None
    config: Raw = NULL
    metadata: Raw = NULL


class InvokeFunction(Struct, tag_field="type", tag="invokefunction", omit_defaults=True, gc=False):
    function_id: Id
    invocation_id: Id | None = None
    data: Raw = NULL
    traceparent: str | None = None
    baggage: str | None = None
    action: Action | None = None
    metadata: Raw = NULL
    namespace: str | None = None


class InvocationResult(
    Struct, tag_field="type", tag="invocationresult", omit_defaults=True, gc=False
):
    """`error` is kept raw: its shape is read by `error_body`, because a malformed error must still
    settle the call."""

    invocation_id: str
    function_id: str | None = None
    result: Raw = NULL
    error: Raw = NULL
    traceparent: str | None = None
    baggage: str | None = None


class RegisterService(Struct, tag_field="type", tag="registerservice", omit_defaults=True):
    id: Id
    name: Id | None = None
    description: str | None = None
    parent_service_id: Id | None = None


class Ping(Struct, tag_field="type", tag="ping"):
    pass


class Pong(Struct, tag_field="type", tag="pong"):
    pass


class ErrorMessage(Struct, tag_field="type", tag="error"):
    error: ErrorBody


class Reattach(Struct, tag_field="type", tag="reattach", omit_defaults=True):
    previous_worker_id: str
    reattach_token: str | None = None


Message: TypeAlias = (
    InvokeFunction
    | InvocationResult
    | WorkerRegistered
    | RegisterFunction
    | UnregisterFunction
    | RegisterTriggerType
    | UnregisterTriggerType
    | RegisterTrigger
    | TriggerRegistrationResult
    | UnregisterTrigger
    | RegisterService
    | Ping
    | Pong
    | ErrorMessage
    | Reattach
)


class ChannelRef(Struct):
    """One end of a channel, as it travels inside payloads."""

    channel_id: str
    access_key: str
    direction: Literal["read", "write"]


class WorkerTelemetry(Struct, omit_defaults=True):
    language: str | None = None
    project_name: str | None = None
    framework: str | None = None
    amplitude_api_key: str | None = None


class WorkerMetadata(Struct, omit_defaults=True):
    """Payload of `engine::workers::register`."""

    runtime: str | None = None
    version: str | None = None
    name: str | None = None
    os: str | None = None
    pid: int | None = None
    isolation: str | None = None
    telemetry: WorkerTelemetry | None = None
    description: str | None = None
    namespace: str | None = None
    features: list[str] | None = None
    dialect: str | None = None


# Fields that are carried and never parsed here.
OPAQUE: Final = frozenset(
    {
        "data",
        "result",
        "error",
        "config",
        "metadata",
        "request_format",
        "response_format",
        "trigger_request_format",
        "call_request_format",
    }
)

_decoder: Final = msgspec.json.Decoder(Message)
_encoder: Final = msgspec.json.Encoder()
_error_decoder: Final = msgspec.json.Decoder(ErrorBody)


def encode(message: Message) -> bytes:
    """The frame payload of a message."""
    return _encoder.encode(message)


def decode(frame: bytes) -> Message:
    """Read one frame. Raises `MalformedMessage`.

    Frames that only a tolerant reader accepts are read too: NaN and Infinity become null, lone
    surrogates and integers of any size are kept.
    """
    try:
        message: Message = _decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        try:
            return _decode_tolerant(frame, str(error))
        except RecursionError:
            raise unreadable(frame, "nested too deeply") from None
    return message


def _decode_tolerant(frame: bytes, reason: str) -> Message:
    try:
        value = json.loads(frame.decode("utf-8", "surrogatepass"))
    except ValueError:
        raise unreadable(frame, reason) from None
    if not isinstance(value, dict):
        raise MalformedMessage("a message is a JSON object")
    opaque = {} if value.get("type") == "error" else {k: value[k] for k in value.keys() & OPAQUE}
    try:
        message: Message = msgspec.convert(
            {key: _text(item) for key, item in value.items() if key not in opaque}, Message
        )
    except msgspec.ValidationError as error:
        read = [value.get(name) for name in ("type", "invocation_id", "id")]
        known = [text if text and isinstance(text, str) else None for text in read]
        raise MalformedMessage(str(error), *known) from None
    for field, item in opaque.items():
        if hasattr(message, field):
            setattr(message, field, tolerant_raw(item))
    return message


def _text(value: object) -> object:
    """Envelope strings are written into other frames: a lone surrogate in one is replaced."""
    return well_formed(value) if isinstance(value, str) else value


def well_formed(text: str) -> str:
    """The text with a replacement character for each lone surrogate: no JSON text has these."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def sendable(error: ErrorBody) -> ErrorBody:
    """The error as it can travel, whatever the exception said that it tells of."""
    return ErrorBody(
        well_formed(error.code),
        well_formed(error.message),
        None if error.stacktrace is None else well_formed(error.stacktrace),
        error.retry_after,
        None
        if error.details is None
        else {well_formed(key): well_formed(text) for key, text in error.details.items()},
    )


def tolerant_value(text: bytes) -> object:
    """The value of JSON text, read as tolerantly as `decode` does."""
    return json.loads(text.decode("utf-8", "surrogatepass"))


def is_null(raw: Raw) -> bool:
    return raw is NULL or raw == NULL


def tolerant_raw(value: object) -> Raw:
    """JSON bytes of a value that the strict codec may refuse."""
    if value is None:
        return NULL
    return Raw(json.dumps(_finite(value), separators=(",", ":")).encode("ascii"))


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value


def error_body(raw: Raw) -> ErrorBody:
    """The error of a result; a malformed one becomes `UNKNOWN` with its text."""
    try:
        return _error_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        value = tolerant_value(bytes(raw))
        if isinstance(value, dict):
            value.pop("retry_after", None)
            value.pop("details", None)
            value = {key: _text(item) for key, item in value.items() if item is not None}
        return msgspec.convert(value, ErrorBody)
    except (msgspec.ValidationError, ValueError, RecursionError):
        text = bytes(raw).decode("utf-8", "replace")
        return ErrorBody("UNKNOWN", text.strip('"'))


# Both cases are spelled out: that is three times as fast as ignoring the case.
_UUID: Final = re.compile(
    "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
)


#: Whether the text has the form of a UUID; such a text needs no escaping.
is_uuid: Final[Callable[[str], object]] = _UUID.fullmatch
