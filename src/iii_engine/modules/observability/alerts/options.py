"""The option `alerts` as the config file has it."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

ActionType: TypeAlias = Literal["log", "webhook", "function"]
Seconds = Annotated[int, Meta(ge=1)]


class ActionOptions(Struct, forbid_unknown_fields=True):
    """A webhook has a URL, a function its id as `path`."""

    #: What happens when the rule fires.
    type: ActionType = "log"
    #: Of a webhook.
    url: str | None = None
    #: The id of a function.
    path: str | None = None


class AlertOptions(Struct, forbid_unknown_fields=True):
    """One rule. With `action` as a plain word, `webhook_url` or `function_id` say the rest."""

    #: What the alert is called.
    name: str
    #: `iii.invocations.*`, `iii.workers.*`, or any stored metric.
    metric: str
    #: What the value is compared with.
    threshold: float
    #: `>`, `>=`, `<`, `<=`, `==`, `!=`, or their names.
    operator: str = ">"
    #: Counters count their growth in it, gauges their average.
    window_seconds: Seconds = 60
    #: It does not fire again so soon.
    cooldown_seconds: Annotated[int, Meta(ge=0)] = 60
    #: Whether it is evaluated.
    enabled: bool = True
    #: What happens when it fires.
    action: ActionOptions | ActionType = "log"
    #: Of the action `webhook`.
    webhook_url: str | None = None
    #: Of the action `function`.
    function_id: str | None = None
