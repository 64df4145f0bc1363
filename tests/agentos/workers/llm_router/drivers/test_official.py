"""What the drivers over official clients share."""

from __future__ import annotations

import msgspec
import pytest

from agentos.workers.llm_router.catalogue import catalogue
from agentos.workers.llm_router.drivers import official
from agentos.workers.llm_router.drivers.official import OfficialClients
from agentos.workers.llm_router.endpoints import Endpoint, ProviderName

ENDPOINT = Endpoint(
    ProviderName("openai", catalogue().providers["openai"]), "http://127.0.0.1:1", ""
)


def of(clients, key):
    return clients.of(msgspec.structs.replace(ENDPOINT, key=key))


async def test_clients_of_keys_that_are_no_longer_used_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(official, "KEPT", 2)
    made = []

    def make(endpoint, http):
        made.append(endpoint.key)
        return object()

    clients = OfficialClients(make, failed=OSError, lost=ConnectionError)
    first = of(clients, "a")
    of(clients, "b")
    assert of(clients, "a") is first
    of(clients, "c")
    assert of(clients, "a") is first
    of(clients, "b")
    assert made == ["a", "b", "c", "b"]
    await clients.aclose()
