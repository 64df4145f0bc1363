from __future__ import annotations

import pytest

from iii_engine.core.spans import Span, function_kind


@pytest.mark.parametrize(
    ("function_id", "kind"),
    [
        ("engine::log::info", "internal"),
        ("iii::queue::redrive", "internal"),
        ("bridge.invoke", "internal"),
        ("publish", "internal"),
        ("publisher", "user"),
        ("statement::get", "user"),
        ("orders::create", "user"),
    ],
)
def test_whose_function_it_is(function_id: str, kind: str) -> None:
    assert function_kind(function_id) == kind


def test_a_span_is_its_own_record() -> None:
    span = Span(
        trace_id="a" * 32,
        span_id="b" * 16,
        parent_span_id=None,
        name="n",
        kind="internal",
        start_ns=1,
        end_ns=2,
        attributes=(("k", 1),),
    )
    assert span.spans() == (span,)
    assert (span.attribute("k"), span.attribute("x")) == (1, None)
