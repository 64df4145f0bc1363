from __future__ import annotations

import pytest

from iii_engine.config.environment import Environment
from iii_engine.version import VERSION


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("${SET}", "value"),
        ("a ${SET} b ${SET}", "a value b value"),
        ("${SET:default}", "value"),
        ("${EMPTY:default}", ""),
        ("${UNSET:default}", "default"),
        ("${UNSET:}", ""),
        ("${UNSET:http://localhost:4317}", "http://localhost:4317"),
        ("$${SET}", "${SET}"),
        ("$${UNSET:x}", "${UNSET:x}"),
        ("$SET {SET} ${}", "$SET {SET} ${}"),
        ("${V:__III_ENGINE_VERSION__}", VERSION),
    ],
)
def test_expansion(text: str, expanded: str) -> None:
    environment = Environment({"SET": "value", "EMPTY": ""})
    assert environment.expand(text) == expanded
    assert environment.missing == []


def test_missing_variables_are_collected_once_each() -> None:
    environment = Environment({})
    assert environment.expand("${B} ${A} ${B}") == "  "
    assert environment.missing == ["B", "A"]


def test_values_are_not_expanded_again() -> None:
    assert Environment({"A": "${B}"}).expand("${A}") == "${B}"
