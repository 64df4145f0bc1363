"""From the option `alerts` to rules that can be judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from iii_engine.core.alerts import OPERATORS, SECOND, Rule, operator_name
from iii_engine.modules.observability.alerts.options import ActionOptions, AlertOptions
from iii_sdk.errors import BusError

if TYPE_CHECKING:
    from iii_engine.net.client.target import Target


class LogAction(NamedTuple):
    """Write a line."""


class WebhookAction(NamedTuple):
    """Post to this endpoint."""

    target: Target


class FunctionAction(NamedTuple):
    """Call this function."""

    function_id: str


Action: TypeAlias = LogAction | WebhookAction | FunctionAction


class BadAlert(BusError):
    """The message names the option."""

    code = "invalid_config"


def read_rules(alerts: Sequence[AlertOptions]) -> list[tuple[Rule, Action]]:
    """The enabled rules, each with what it does. Raises `BadAlert` for any that makes no sense."""
    names: set[str] = set()
    found = []
    for position, options in enumerate(alerts):
        where = f"config.alerts[{position}]"
        for field, problem in _problems(options, names):
            raise BadAlert(f"{where}.{field}: {problem}")
        names.add(options.name)
        rule, action = _rule(options), _action(options, where)
        if options.enabled:
            found.append((rule, action))
    return found


def _problems(options: AlertOptions, taken: set[str]) -> Iterator[tuple[str, str]]:
    if not options.name:
        yield "name", "is empty"
    if options.name in taken:
        yield "name", f"there is another alert `{options.name}`"
    if not options.metric:
        yield "metric", "is empty"
    if operator_name(options.operator) is None:
        known = ", ".join(f"`{forms[0]}`" for _, forms in OPERATORS.values())
        yield "operator", f"unknown operator `{options.operator}`, expected one of {known}"


def _rule(options: AlertOptions) -> Rule:
    return Rule(
        options.name,
        options.metric,
        options.threshold,
        operator_name(options.operator) or "",
        options.window_seconds * SECOND,
        options.cooldown_seconds * SECOND,
    )


def _action(options: AlertOptions, where: str) -> Action:
    action = options.action
    if isinstance(action, ActionOptions):
        kind, url, path = action.type, action.url, action.path
        url_field, path_field = "action.url", "action.path"
    else:
        kind, url, path = action, options.webhook_url, options.function_id
        url_field, path_field = "webhook_url", "function_id"
    if kind == "log":
        return LogAction()
    if kind == "function":
        if not path:
            raise BadAlert(f"{where}.{path_field}: an alert that calls a function names it here")
        return FunctionAction(path)
    if not url:
        raise BadAlert(f"{where}.{url_field}: an alert that posts to a webhook has its URL here")
    return _webhook(url, f"{where}.{url_field}")


def _webhook(url: str, where: str) -> WebhookAction:
    # Loads the HTTP client, which most engines do without.
    from iii_engine.net.client.security import CONFIGURED
    from iii_engine.net.client.target import UrlRefused, read_target

    try:
        return WebhookAction(read_target(url, CONFIGURED))
    except UrlRefused as error:
        raise BadAlert(f"{where}: {error.message}") from None
