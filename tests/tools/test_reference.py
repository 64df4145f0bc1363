"""The reference is written from the code: what is committed is what the code says now."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from tools.error_codes import ErrorCode, error_codes, what_it_uses
from tools.field_comments import comments_in, with_bases
from tools.promises import ROOT, promises, promises_page
from tools.write_reference import PROMISES, REFERENCE, reference_pages


def test_the_committed_reference_is_what_the_code_says() -> None:
    pages = reference_pages()
    written = {
        path.relative_to(REFERENCE): path.read_text(encoding="utf-8")
        for path in REFERENCE.rglob("*.md")
    }
    assert sorted(written) == sorted(pages)
    assert [path for path in pages if written[path] != pages[path]] == [], "run make docs"


@pytest.mark.parametrize("kind", ["cron", "kv", "pubsub", "queue", "state", "stream"])
def test_every_adapter_of_a_module_has_its_section(kind: str) -> None:
    page = (REFERENCE / "engine" / f"iii-{kind}.md").read_text(encoding="utf-8")
    section = page.partition("\n## Adapters\n")[2].partition("\n## ")[0]
    sections = set(re.findall(r"^### `(\w+)`$", section, re.MULTILINE))
    assert sections == set(import_module(f"iii_engine.modules.{kind}.options").ADAPTERS)


def test_all_modules_with_adapters_are_looked_at() -> None:
    found = (ROOT / "src" / "iii_engine" / "modules").glob("*/options.py")
    have = {path.parent.name for path in found if "\nADAPTERS" in path.read_text("utf-8")}
    assert have == {"cron", "kv", "pubsub", "queue", "state", "stream"}


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


def test_codes_are_found_behind_names_and_in_other_files(tmp_path: Path) -> None:
    package = tmp_path / "shop"
    (package / "till").mkdir(parents=True)
    (package / "till" / "till.py").write_text(
        """
from shop.money import Coin, short
from shop.shared import fail

EMPTY = "till_empty"

class Rule(NamedTuple):
    field: str
    code: str

RULES = [Rule("coin", "coin_missing")]

def open_it(call, error):
    fail(call, error, EMPTY)
"""
    )
    (package / "money.py").write_text(
        "def short(): raise BusError('too little', code='money_short')"
    )
    (package / "shared.py").write_text("def fail(call, error, code): call.fail('broken', 'It is.')")
    shared = package / "shared.py"
    files = what_it_uses(package / "till", package, shared)
    assert files == [package / "money.py", package / "till" / "till.py"]
    assert error_codes(*files, known=[shared]) == [
        ErrorCode("coin_missing", ""),
        ErrorCode("money_short", "too little"),
        ErrorCode("till_empty", ""),
    ]


def test_the_codes_of_the_contract_are_on_the_pages() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in REFERENCE.rglob("*.md"))
    codes = """
        url_validation_failed http_request_failed http_response_failed secret_not_found
        token_not_found api_key_not_found missing_env_var AUTH_ERROR FORBIDDEN bad_adapter
        not_supported pause_failed publish_failed queue_not_set topic_not_set enqueue_error
        redrive_failed redrive_message_failed discard_message_failed topic_stats_failed
        function_not_found invocation_stopped timeout payload_too_large registration_limit
        trigger_type_not_found invalid_message worker_overloaded bridge_error
    """
    assert [code for code in codes.split() if f"`{code}`" not in text] == []


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


def test_fields_mean_what_their_bases_say(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        """
class Base:
    a: int  # from the base
    b: int  # hidden

class Derived(Base, rename="camel"):
    b: int  # its own
    closes_at: int  # renamed
"""
    )
    assert with_bases(comments_in(tmp_path), tmp_path)["Derived"] == {
        "a": "from the base",
        "b": "its own",
        "closesAt": "renamed",
    }
