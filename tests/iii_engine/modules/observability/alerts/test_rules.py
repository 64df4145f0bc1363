"""The option `alerts`: what it may say, and what is refused with the place where it is wrong."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from iii_engine.core.alerts import SECOND, Rule
from iii_engine.modules.observability.alerts.options import AlertOptions
from iii_engine.modules.observability.alerts.rules import (
    Action,
    BadAlert,
    FunctionAction,
    LogAction,
    WebhookAction,
    read_rules,
)

RULE = {"name": "n", "metric": "m", "threshold": 2}


def rules(*alerts: dict[str, Any]) -> list[tuple[Rule, Action]]:
    return read_rules(msgspec.convert([RULE | alert for alert in alerts], list[AlertOptions]))


def action(**alert: Any) -> Action:
    ((_, found),) = rules(alert)
    return found


def test_what_a_rule_need_not_say() -> None:
    assert rules({}) == [(Rule("n", "m", 2, "GreaterThan", 60 * SECOND, 60 * SECOND), LogAction())]


def test_disabled_rules_are_checked_and_left_out() -> None:
    assert rules({"enabled": False}, {"name": "b"})[0][0].name == "b"
    with pytest.raises(BadAlert, match="operator"):
        rules({"enabled": False, "operator": "?"})


@pytest.mark.parametrize(
    "alert",
    [
        {"action": {"type": "webhook", "url": "http://127.0.0.1:9/hook?token=s"}},
        {"action": "webhook", "webhook_url": "http://127.0.0.1:9/hook?token=s"},
    ],
)
def test_a_webhook_in_both_spellings(alert: dict[str, Any]) -> None:
    found = action(**alert)
    assert isinstance(found, WebhookAction)
    assert (found.target.origin.port, found.target.resource) == (9, "/hook?token=s")


def test_a_function_in_both_spellings() -> None:
    assert action(action={"type": "function", "path": "f"}) == FunctionAction("f")
    assert action(action="function", function_id="f") == FunctionAction("f")


@pytest.mark.parametrize(
    ("alert", "message"),
    [
        ({"name": ""}, r"config\.alerts\[1\]\.name: is empty"),
        ({"name": "first"}, r"config\.alerts\[1\]\.name: there is another alert `first`"),
        ({"metric": ""}, r"config\.alerts\[1\]\.metric: is empty"),
        ({"operator": "=>"}, r"config\.alerts\[1\]\.operator: unknown operator `=>`, .*`>`, `>=`"),
        ({"action": "webhook"}, r"config\.alerts\[1\]\.webhook_url: "),
        ({"action": {"type": "webhook"}}, r"config\.alerts\[1\]\.action\.url: "),
        ({"action": "function"}, r"config\.alerts\[1\]\.function_id: "),
        ({"action": {"type": "function"}}, r"config\.alerts\[1\]\.action\.path: "),
    ],
)
def test_what_is_wrong_is_named_by_its_place(alert: dict[str, Any], message: str) -> None:
    with pytest.raises(BadAlert, match=message):
        rules({"name": "first"}, alert)


def test_a_url_that_cannot_be_used_is_not_repeated() -> None:
    with pytest.raises(BadAlert) as caught:
        action(action="webhook", webhook_url="http://user:hush@host/")
    assert str(caught.value).endswith("config.alerts[0].webhook_url: Invalid URL")
    assert "hush" not in str(caught.value)
