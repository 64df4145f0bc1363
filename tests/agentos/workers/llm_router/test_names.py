"""Function ids as tool names."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from agentos.workers.llm_router.names import NameMap


def test_llm_router_case_9_an_id_with_underscores_survives():
    names = NameMap()
    name = names.name("memory::user_profile::get")
    assert name == "memory__user_profile__get"
    assert names.id(name) == "memory::user_profile::get"


def test_names_that_would_collide_are_numbered():
    names = NameMap()
    assert [names.name(i) for i in ("a::b", "a__b", "a..b")] == ["a__b", "a__b_2", "a__b_3"]
    assert [names.id(n) for n in ("a__b", "a__b_2", "a__b_3")] == ["a::b", "a__b", "a..b"]


def test_long_ids_keep_a_hash():
    name = NameMap().name("x" * 80)
    assert len(name) == 64
    assert name.startswith("x" * 55 + "_")


def test_a_name_nobody_handed_out_is_read_back():
    assert NameMap().id("tool__web_search") == "tool::web_search"


@given(st.lists(st.text(min_size=1, max_size=90), unique=True, max_size=12))
def test_any_ids_come_back_and_names_are_legal(ids):
    names = NameMap()
    handed_out = [names.name(i) for i in ids]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in handed_out)
    assert [names.id(name) for name in handed_out] == ids
