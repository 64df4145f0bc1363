"""The estimate of importance."""

from __future__ import annotations

import pytest

from agentos.workers.memory.importance import estimate_importance


@pytest.mark.parametrize(
    ("content", "role", "importance"),
    [
        ("short", "user", 0.5),
        ("short", "assistant", 0.6),
        ("x" * 600, "user", 0.6),
        ("x" * 500, "user", 0.5),
        ("x" * 501, "user", 0.6),
        ("There was a critical error in the system", "user", 0.65),
        ("Error", "user", 0.65),
        ("prefix, debugging, terrors", "user", 0.5),
        ("```py\n1\n```", "user", 0.6),
        ("```error```" + "x" * 500, "assistant", 0.95),
    ],
)
def test_memory_case_3(content: str, role: str, importance: float) -> None:
    assert estimate_importance(content, role) == importance
