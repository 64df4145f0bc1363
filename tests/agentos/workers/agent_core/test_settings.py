"""What the environment may change."""

from __future__ import annotations

import pytest

from agentos.workers.agent_core.settings import Settings


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AGENTOS_CHAT_TIMEOUT_MS", "AGENTOS_MAX_ITERATIONS", "AGENTOS_STRICT_GUARDS"):
        monkeypatch.delenv(name, raising=False)
    assert Settings.from_environment() == Settings(300.0, 50, False)


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTOS_CHAT_TIMEOUT_MS", "1500")
    monkeypatch.setenv("AGENTOS_MAX_ITERATIONS", "3")
    monkeypatch.setenv("AGENTOS_STRICT_GUARDS", "1")
    assert Settings.from_environment() == Settings(1.5, 3, True)


@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_a_bad_number_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("AGENTOS_MAX_ITERATIONS", value)
    with pytest.raises(ValueError, match="AGENTOS_MAX_ITERATIONS"):
        Settings.from_environment()
