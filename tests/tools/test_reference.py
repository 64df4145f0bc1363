"""The reference is written from the code: what is committed is what the code says now."""

from __future__ import annotations

from pathlib import Path

from tools.error_codes import ErrorCode, error_codes
from tools.field_comments import comments_in
from tools.promises import ROOT, promises, promises_page
from tools.write_reference import PROMISES, REFERENCE, inherited, reference_pages


def test_the_committed_reference_is_what_the_code_says() -> None:
    pages = reference_pages()
    written = {
        path.relative_to(REFERENCE): path.read_text(encoding="utf-8")
        for path in REFERENCE.rglob("*.md")
    }
    assert sorted(written) == sorted(pages)
    assert [path for path in pages if written[path] != pages[path]] == [], "run make docs"


def test_the_committed_promises_are_those_of_the_tests() -> None:
    assert PROMISES.read_text(encoding="utf-8") == promises_page(), "run make docs"
    for promise in promises():
        assert (ROOT / promise.path).is_file()
        assert promise.sentence.endswith(".")


def test_codes_are_found_wherever_they_are_raised_or_answered(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        """
class Closed(BusError):
    \"\"\"The shop is closed.

    More.
    \"\"\"

    code = "closed"

def sell(call, what):
    call.fail("sold_out", f"no {what} left")
    raise BusError("too many", code="too_many")

def changing(code, work): ...

offer(changing("SELL_ERROR", sell), ErrorBody("late", text))
"""
    )
    assert error_codes(tmp_path) == [
        ErrorCode("SELL_ERROR", ""),
        ErrorCode("closed", "The shop is closed."),
        ErrorCode("late", ""),
        ErrorCode("sold_out", "no … left"),
        ErrorCode("too_many", "too many"),
    ]


def test_the_meaning_of_a_field_is_the_comment_beside_it(tmp_path: Path) -> None:
    (tmp_path / "options.py").write_text(
        """
class Shop:
    #: When it opens,
    #: in hours.
    opens: int = 9
    closes: int = 18  # when it closes
    till_: str = field(name="till", default="")  # noqa: X
    open: bool
"""
    )
    assert comments_in(tmp_path) == {
        "Shop": {"opens": "When it opens, in hours.", "closes": "when it closes"}
    }


def test_fields_mean_what_their_bases_say() -> None:
    class Base:
        pass

    class Derived(Base):
        pass

    meanings = {"Base": {"a": "from the base", "b": "hidden"}, "Derived": {"b": "its own"}}
    assert inherited(Derived, meanings) == {"a": "from the base", "b": "its own"}
