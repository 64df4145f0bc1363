"""The inputs of the published form. Wherever one is taken, a dictionary of its fields is too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Struct, field

from iii_sdk.protocol import ChannelRef, EnqueueAction, VoidAction

T = TypeVar("T")
S = TypeVar("S", bound="Model")

StreamChannelRef = ChannelRef
TriggerActionEnqueue = EnqueueAction
TriggerActionVoid = VoidAction


class TriggerAction:
    """How a call is routed; without one it waits for the result."""

    @staticmethod
    def Enqueue(*, queue: str) -> EnqueueAction:
        """Put the call on a named queue; the result is a receipt."""
        return EnqueueAction(queue)

    @staticmethod
    def Void() -> VoidAction:
        """Nobody waits for the result."""
        return VoidAction()


class Model(Struct, kw_only=True):
    """Base of the models; the two methods are those that programs know from pydantic."""

    @classmethod
    def model_validate(cls: type[S], value: object) -> S:
        """From a dictionary; unknown keys are ignored. Raises `ValueError` that names the field."""
        return msgspec.convert(value, cls)

    def model_dump(self, **_: object) -> dict[str, Any]:
        """As a dictionary of plain values."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


class TriggerRequest(Model):
    """A call. `timeout_ms` None or 0 means the default, -1 no timeout."""

    function_id: str
    payload: Any = None
    action: EnqueueAction | VoidAction | Mapping[str, Any] | None = None
    timeout_ms: int | None = None


class RegisterFunctionFormat(Model, omit_defaults=True):
    """The older way to describe an input or output, instead of a JSON Schema."""

    name: str
    type: str
    description: str | None = None
    body: list[RegisterFunctionFormat] | None = None
    items: RegisterFunctionFormat | None = None
    required: bool = False


class RegisterTriggerInput(Model):
    """An event that calls a function. `config` has the shape that the type of trigger wants."""

    type: str
    function_id: str
    config: Any = None
    metadata: Any = None


class RegisterTriggerTypeInput(Model):
    """A type of trigger that this worker owns. The formats are types or JSON Schemas."""

    id: str
    description: str = ""
    trigger_request_format: Any = None
    call_request_format: Any = None


class RegisterServiceInput(Model):
    """A logical group of functions; `name` defaults to the id."""

    id: str
    name: str | None = None
    description: str | None = None
    parent_service_id: str | None = None


class HttpAuthConfig(Model, omit_defaults=True):
    """Credentials of an HTTP-invoked function: names of environment variables of the engine."""

    type: Literal["hmac", "bearer", "api_key"]
    secret_key: str | None = None
    token_key: str | None = None
    header: str | None = None
    value_key: str | None = None


class HttpInvocationConfig(Model, omit_defaults=True):
    """Where the engine sends the calls of a function that has no handler in a worker."""

    url: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    timeout_ms: int | None = None
    headers: dict[str, str] | None = None
    auth: HttpAuthConfig | None = None


class EnqueueResult(Model, rename="camel"):
    """What an enqueued call returns (as a plain dictionary)."""

    message_receipt_id: str


class ApiRequest(Model, Generic[T]):
    """Payload of a function called by an `http` trigger."""

    path_params: dict[str, str] = field(default_factory=dict)
    query_params: dict[str, str | list[str]] = field(default_factory=dict)
    body: T | None = None
    headers: dict[str, str | list[str]] = field(default_factory=dict)
    method: str = "GET"
    path: str = ""


class ApiResponse(Generic[T]):
    """Result of a function called by an `http` trigger. `statusCode` is the same as
    `status_code`."""

    def __init__(
        self,
        status_code: int = 200,
        body: T | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        statusCode: int | None = None,
    ) -> None:
        self.status_code = status_code if statusCode is None else statusCode
        self.body = body
        self.headers = dict(headers or {})

    def to_wire(self) -> dict[str, Any]:
        return {"status_code": self.status_code, "body": self.body, "headers": self.headers}


def built(kind: type[T], value: object, what: str) -> T:
    """`value` if it is one, else made of its fields. Raises `TypeError`, `ValueError`."""
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise TypeError(f"{what}: expected {kind.__name__} or dict, got {type(value).__name__}")
    if issubclass(kind, Struct):
        try:
            return msgspec.convert(dict(value), kind)
        except msgspec.ValidationError as error:
            raise ValueError(f"{what}: {error}") from None
    try:
        return kind(**value)
    except TypeError as error:
        raise TypeError(f"{what}: {error}") from None
