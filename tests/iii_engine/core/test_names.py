"""Requested and mapped ids of a session."""

from __future__ import annotations

from iii_engine.core.names import Names


def test_without_prefix_or_hook_ids_stay_as_they_are() -> None:
    names = Names()
    names.map_function("f", names.prefixed("f"))
    names.map_trigger_type("t", "t")
    names.map_trigger("i", "i")
    assert (names.function("f"), names.sent("f")) == ("f", None)
    assert names.trigger_type("t") == "t"
    assert names.trigger_type_requested("t") is None
    assert names.forget_function("f") == "f"
    assert names.forget_trigger_type("t") == "t"
    assert names.forget_trigger("i") == "i"


def test_a_prefix_applies_to_what_is_not_registered_too() -> None:
    names = Names("p")
    assert names.function("f") == "p::f"
    names.map_function("f", "p::f")
    assert names.sent("p::f") == b'"f"'
    assert names.forget_function("f") == "p::f"
    assert names.sent("p::f") is None


def test_what_a_hook_changed_is_remembered_until_it_is_forgotten() -> None:
    names = Names()
    names.map_function("f", "g")
    names.map_trigger_type("t", "u")
    names.map_trigger("i", "j")
    assert (names.function("f"), names.trigger_type("t")) == ("g", "u")
    assert names.trigger_type_requested("u") == "t"
    assert names.forget_function("f") == "g"
    assert names.forget_trigger_type("t") == "u"
    assert names.forget_trigger("i") == "j"
    assert (names.function("f"), names.trigger_type("t")) == ("f", "t")


def test_the_newest_name_of_a_function_counts() -> None:
    names = Names()
    names.map_function("f", "g")
    names.map_function("h", "g")
    assert (names.function("f"), names.sent("g")) == ("f", b'"h"')
    names.map_function("g", "g")
    assert (names.function("h"), names.sent("g")) == ("h", None)


def test_there_are_no_more_names_than_things() -> None:
    names = Names()
    for n in range(100):
        names.map_function(f"f{n}", "one")
        names.map_trigger_type(f"t{n}", "one")
        names.map_trigger(f"i{n}", "one")
    for n in range(100):
        names.map_function("f", f"g{n}")
        names.map_trigger_type("t", f"u{n}")
        names.map_trigger("i", f"j{n}")
    assert len(names) == 6
    for name in ("one", "f"):  # by the bus's id, and by the worker's own
        assert names.forget_function(name)
        assert names.forget_trigger_type(name if name == "one" else "t")
        assert names.forget_trigger(name if name == "one" else "i")
    assert len(names) == 0
    assert names.sent("one") is None
