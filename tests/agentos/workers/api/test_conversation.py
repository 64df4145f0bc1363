"""The visible text of a streamed turn."""

from __future__ import annotations

from agentos.workers.api.conversation import Text


def test_what_is_said_before_and_after_a_call_are_paragraphs() -> None:
    text = Text()
    events = [
        {"type": "text", "delta": "Let me "},
        {"type": "text", "delta": "look."},
        {"type": "tool_call", "id": "x::y"},
        {"type": "text", "delta": "Found"},
        {"type": "text", "delta": " it."},
        {"type": "end"},
    ]
    pieces = [piece for event in events if (piece := text.piece(event)) is not None]
    assert pieces == ["Let me ", "look.", "\n\nFound", " it."]


def test_a_call_before_any_text_leaves_no_mark() -> None:
    text = Text()
    assert text.piece({"type": "tool_call", "id": "x::y"}) is None
    assert text.piece({"type": "text", "delta": ""}) is None
    assert text.piece({"type": "text", "delta": "Hi"}) == "Hi"
