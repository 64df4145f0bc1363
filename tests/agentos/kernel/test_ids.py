"""Ids."""

from __future__ import annotations

import pytest

from agentos.kernel.ids import require_id
from iii_sdk import InvalidInput


@pytest.mark.parametrize("value", ["a", "a-b_c:d.e", "default:agent-1", "x" * 256])
def test_usable(value: str) -> None:
    assert require_id(value, "agentId") == value


@pytest.mark.parametrize("value", ["a/b", "a b", "ü", "a\n", "x" * 257])
def test_refused(value: str) -> None:
    with pytest.raises(InvalidInput, match="Invalid ID format"):
        require_id(value, "agentId")


def test_missing() -> None:
    with pytest.raises(InvalidInput, match="agentId is required"):
        require_id(" ", "agentId")
