from __future__ import annotations

import pytest

from iii_engine.modules.observability.logs.severity import level_of, number_of, text_of


@pytest.mark.parametrize(
    ("number", "text", "level"),
    [
        (0, "", ""),
        (1, "TRACE", "trace"),
        (4, "TRACE", "trace"),
        (5, "DEBUG", "debug"),
        (12, "INFO", "info"),
        (13, "WARN", "warn"),
        (17, "ERROR", "error"),
        (24, "FATAL", "error"),
        (25, "", "error"),
        (-1, "", ""),
    ],
)
def test_names_of_numbers(number: int, text: str, level: str) -> None:
    assert (text_of(number), level_of(number)) == (text, level)


@pytest.mark.parametrize(
    ("text", "number"), [("Warn", 13), ("WARNING", 13), ("critical", 21), ("x", 0), ("", 0)]
)
def test_numbers_of_names(text: str, number: int) -> None:
    assert number_of(text) == number
