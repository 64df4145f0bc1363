from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iii_engine.core import sampling
from iii_engine.core.clock import SeededIds, VirtualClock
from iii_engine.core.sampling import Bucket, Rule, Sampler, kept, like

IDS = SeededIds(3)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("call *", "call f", True),
        ("call *", "recall f", False),
        ("* health.*", "handle_invocation health.check", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a.c", "abc", False),
        ("a*b", "ab", True),
        ("a*b", "axbx", False),
        ("*" * 50 + "b", "a" * 500, False),
        ("", "", True),
        ("GET /*", "GET /a\nb", True),
        ("[x]", "x", False),
    ],
)
def test_patterns_are_about_the_whole_text(pattern: str, text: str, matches: bool) -> None:
    assert like(pattern, text) is matches


@given(st.text("ab?*", max_size=6), st.text("ab", max_size=8))
def test_a_pattern_without_wildcards_is_the_text(pattern: str, text: str) -> None:
    if not set(pattern) & set("?*"):
        assert like(pattern, text) is (pattern == text)


def test_the_same_trace_always_has_the_same_lot() -> None:
    traces = [IDS.trace_id() for _ in range(4000)]
    few, many = ([t for t in traces if kept(t, rate)] for rate in (0.25, 0.5))
    assert set(few) <= set(many)
    assert 850 < len(few) < 1150
    assert [kept("f" * 32, rate) for rate in (0, 0.5, 1)] == [False, False, True]
    assert [kept("0" * 32, rate) for rate in (0, 0.5, 1)] == [False, True, True]


def test_the_first_rule_that_matches_decides() -> None:
    rules = [
        Rule("call a*", "iii", 1.0),
        Rule("call *", "other", 1.0),
        Rule("call ab", None, 0.0),
        Rule("call *", None, 0.0),
    ]
    sampler = Sampler("iii", 1.0, rules)
    trace = IDS.trace_id()
    assert sampler.begins(trace, "call ab")
    assert not sampler.begins(trace, "call b")
    assert sampler.begins(trace, "GET /")
    assert not sampler.begins(trace, "handle_invocation b", "call b")


def test_children_follow_unless_told_otherwise() -> None:
    trace = "f" * 32
    assert Sampler("iii", 0.0).goes_on(trace, "call f", "", True)
    assert not Sampler("iii", 1.0).goes_on(trace, "call f", "", False)
    assert not Sampler("iii", 0.0, follow=False).goes_on(trace, "call f", "", True)
    assert Sampler("iii", 1.0, follow=False).goes_on(trace, "call f", "", False)


def test_traces_of_others_are_only_subject_to_rules() -> None:
    sampler = Sampler("iii", 0.0, [Rule(None, "noisy*", 0.0)])
    assert sampler.accepts("f" * 32, "work", "quiet")
    assert not sampler.accepts("f" * 32, "work", "noisy-1")


def test_the_limit_fills_up_continuously() -> None:
    clock = VirtualClock()
    sampler = Sampler("iii", 1.0, limit=Bucket(2, clock.monotonic_ns))

    def begins() -> bool:
        return sampler.begins(IDS.trace_id(), "x")

    assert [begins() for _ in range(3)] == [True, True, False]
    clock.advance(0.25)
    assert not begins()
    clock.advance(0.25)
    assert [begins(), begins()] == [True, False]
    clock.advance(100)
    assert [begins() for _ in range(3)] == [True, True, False]


def test_what_the_ratio_refuses_does_not_count_against_the_limit() -> None:
    clock = VirtualClock()
    rules = [Rule("no", None, 0.0)]
    sampler = Sampler("iii", 1.0, rules, limit=Bucket(1, clock.monotonic_ns))
    assert not sampler.begins(IDS.trace_id(), "no")
    assert sampler.begins(IDS.trace_id(), "yes")


@pytest.mark.parametrize(("rate", "traces"), [(0, 0), (0.5, 1)])
def test_small_limits(rate: float, traces: int) -> None:
    bucket = Bucket(rate, VirtualClock().monotonic_ns)
    assert sum(bucket.take() for _ in range(5)) == traces


def test_names_without_end_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MAX_KNOWN", 10)
    sampler = Sampler("iii", 1.0)
    for number in range(100):
        assert sampler.begins(IDS.trace_id(), f"call {number}")
    assert len(sampler._rates) <= 10
