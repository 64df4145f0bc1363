"""Where keys come from, and where they never go."""

from __future__ import annotations

import pytest

from agentos.workers.llm_router.keys import REMEMBER_S, KeyRing, scrub
from iii_sdk.errors import BusError, NotFound


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class FakeVault:
    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    async def get(self, key):
        self.asked.append(key)
        if isinstance(self.answer, BusError):
            raise self.answer
        return self.answer


async def test_the_vault_comes_before_the_environment():
    ring = KeyRing({"A": "from env"})
    assert await ring.find(["A"], FakeVault("from vault")) == "from vault"
    assert await KeyRing({"A": "from env"}).find(["A"], FakeVault("")) == "from env"
    assert await KeyRing({"B": " second "}).find(["A", "B"], None) == "second"
    assert await KeyRing({}).find(["A"], None) == ""


async def test_an_absent_vault_is_asked_once_a_minute():
    clock, vault = Clock(), FakeVault(BusError("no vault", code="function_not_found"))
    ring = KeyRing({"A": "env", "B": "env"}, clock)
    for name in ("A", "B", "A"):
        assert await ring.find([name], vault) == "env"
    assert vault.asked == ["A"]
    clock.now = REMEMBER_S + 1
    await ring.find(["A"], vault)
    assert vault.asked == ["A", "A"]


async def test_a_vault_without_the_key_is_remembered_per_key():
    clock, vault = Clock(), FakeVault(NotFound("Credential not found"))
    ring = KeyRing({}, clock)
    for name in ("A", "A", "B"):
        await ring.find([name], vault)
    assert vault.asked == ["A", "B"]


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("bad key my-secret-value given", "my-secret-value"),
        ("Incorrect API key provided: sk-proj-abcd1234", "sk-proj-abcd1234"),
        ("Authorization: Bearer abcdef123456", "abcdef123456"),
    ],
)
def test_scrub(text, hidden):
    assert hidden not in scrub(text, "my-secret-value")
    assert "***" in scrub(text, "my-secret-value")
