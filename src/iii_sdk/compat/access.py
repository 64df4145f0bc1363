"""Models of the functions that decide about access, called by a guarded listener."""

from __future__ import annotations

from typing import Any

from msgspec import field

from iii_sdk.compat.messages import Model


class AuthInput(Model):
    """Who asks to connect."""

    headers: dict[str, str] = field(default_factory=dict)
    query_params: dict[str, list[str]] = field(default_factory=dict)
    ip_address: str = ""


class AuthResult(Model, omit_defaults=True):
    """What the connection may do. `context` is given to hooks and middleware.

    `allow_endpoint_registration`: the engine makes requests for its functions, into its network
    and with any environment variable that they name.
    """

    allowed_functions: list[str] = field(default_factory=list)
    forbidden_functions: list[str] = field(default_factory=list)
    allowed_trigger_types: list[str] | None = None
    allow_trigger_type_registration: bool = False
    allow_function_registration: bool = True
    allow_endpoint_registration: bool = False
    function_registration_prefix: str | None = None
    context: dict[str, Any] = field(default_factory=dict)


class MiddlewareFunctionInput(Model):
    """A call on its way."""

    function_id: str
    payload: Any = None
    action: dict[str, Any] | None = None
    context: dict[str, Any] = field(default_factory=dict)


class OnFunctionRegistrationInput(Model):
    function_id: str
    description: str | None = None
    metadata: Any = None
    context: dict[str, Any] = field(default_factory=dict)


class OnFunctionRegistrationResult(Model, omit_defaults=True):
    """What is registered instead; None leaves a field as it is."""

    function_id: str | None = None
    description: str | None = None
    metadata: Any = None


class OnTriggerRegistrationInput(Model):
    trigger_id: str
    trigger_type: str
    function_id: str
    config: Any = None
    metadata: Any = None
    context: dict[str, Any] = field(default_factory=dict)


class OnTriggerRegistrationResult(Model, omit_defaults=True):
    """What is registered instead; None leaves a field as it is."""

    trigger_id: str | None = None
    trigger_type: str | None = None
    function_id: str | None = None
    config: Any = None


class OnTriggerTypeRegistrationInput(Model):
    trigger_type_id: str
    description: str = ""
    context: dict[str, Any] = field(default_factory=dict)


class OnTriggerTypeRegistrationResult(Model, omit_defaults=True):
    """What is registered instead; None leaves a field as it is."""

    trigger_type_id: str | None = None
    description: str | None = None
