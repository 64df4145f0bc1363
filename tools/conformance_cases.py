"""Which numbered cases of the contract have a test, and which have none.

A test says by its name what it proves: `test_wire_case_31_…`, `test_modules_cases_5_to_7_and_11_…`,
`test_wire_case_65_and_modules_case_24_…`. Run as a program it prints every case with its tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).resolve().parent.parent / "tests"

#: The documents and the number of their last case.
LAST: Final = {"wire": 91, "modules": 141}

#: What is not delivered yet, by document. Who delivers it takes its numbers away.
LATER: Final[dict[str, set[int]]] = {
    "wire": set(),
    "modules": {
        *range(128, 131),  # projects and managed workers
        *range(131, 137),  # sandbox
        *range(137, 140),  # compose
        140,  # console
        141,
    },
}

_TEST: Final = re.compile(r"def (test_\w+)")
_CASES: Final = re.compile(r"(wire|modules)_cases?_(\d+(?:_(?:to|and)_\d+)*)")
_STEP: Final = re.compile(r"_(to|and)_(\d+)")


def numbers(text: str) -> Iterator[int]:
    """The numbers that `5_to_7_and_11` stands for."""
    first, _, _ = text.partition("_")
    last = int(first)
    yield last
    for word, number in _STEP.findall(text):
        yield from range(last + 1, int(number) + 1) if word == "to" else (int(number),)
        last = int(number)


def proven() -> dict[str, dict[int, list[str]]]:
    """By document and case, the tests that carry its number, as pytest names them."""
    found: dict[str, dict[int, list[str]]] = {document: {} for document in LAST}
    for path in sorted(TESTS.rglob("test_*.py")):
        for name in _TEST.findall(path.read_text(encoding="utf-8")):
            for document, text in _CASES.findall(name):
                for number in numbers(text):
                    test = f"{path.relative_to(TESTS.parent)}::{name}"
                    found[document].setdefault(number, []).append(test)
    return found


def breaches() -> Iterator[str]:
    """Cases without a test, and numbers that say what is not so."""
    for document, tests in proven().items():
        every, later = set(range(1, LAST[document] + 1)), LATER[document]
        for number in sorted(every - later - tests.keys()):
            yield f"{document} case {number} has no test that carries its number"
        for number in sorted(later & tests.keys()):
            where = Path(__file__).name
            yield f"{document} case {number} has a test: take it from LATER in {where}"
        for number in sorted(tests.keys() - every):
            yield f"{document} has no case {number}: {tests[number][0]}"


def main() -> None:
    for document, tests in proven().items():
        for number in range(1, LAST[document] + 1):
            where = tests.get(number) or ["later" if number in LATER[document] else "MISSING"]
            print(f"{document} {number}", *where, sep="\n    ")


if __name__ == "__main__":
    main()
