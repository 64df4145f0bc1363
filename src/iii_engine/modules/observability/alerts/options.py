"""The option `alerts` as the config file has it."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

ActionType: TypeAlias = Literal["log", "webhook", "function"]
Seconds = Annotated[int, Meta(ge=1)]


class ActionOptions(Struct, forbid_unknown_fields=True):
    """A webhook has a URL, a function its id as `path`."""

    type: ActionType = "log"
    url: str | None = None
    path: str | None = None


class AlertOptions(Struct, forbid_unknown_fields=True):
    """One rule. With `action` as a plain word, `webhook_url` or `function_id` say the rest."""

    name: str
    metric: str
    threshold: float
    operator: str = ">"
    window_seconds: Seconds = 60
    cooldown_seconds: Annotated[int, Meta(ge=0)] = 60
    enabled: bool = True
    action: ActionOptions | ActionType = "log"
    webhook_url: str | None = None
    function_id: str | None = None
