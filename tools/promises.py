"""docs/promises.md: what the system guarantees, each with the test that proves it.

A promise is a marker of its test, `@pytest.mark.promise("Topic", "One sentence.")`, so the sentence
stands where it is proved, and a test that goes takes its promise along.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Promise(NamedTuple):
    """A guarantee; `test` is the path of the test file from the root, and the test's name."""

    topic: str
    sentence: str
    path: str
    test: str


def promises(tests: Path = ROOT / "tests") -> list[Promise]:
    """All promises of the tests, by topic."""
    found: list[Promise] = []
    for path in sorted(tests.rglob("test_*.py")):
        if "node_modules" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        if ".promise(" in text:
            found += _of_file(ast.parse(text), path.relative_to(tests.parent).as_posix())
    return sorted(found, key=lambda promise: (promise.topic, promise.path))


def _of_file(tree: ast.AST, path: str) -> Iterator[Promise]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for mark in node.decorator_list:
                if (
                    isinstance(mark, ast.Call)
                    and isinstance(mark.func, ast.Attribute)
                    and mark.func.attr == "promise"
                ):
                    topic, sentence = (ast.literal_eval(argument) for argument in mark.args)
                    yield Promise(topic, sentence, path, node.name)


def promises_page() -> str:
    """The page: a section for each topic."""
    lines = [
        "<!-- Written by `make docs` from the tests; edit their markers. -->",
        "",
        "# Promises",
        "",
        "What you can rely on. Behind each sentence is the test that fails when it is not true.",
    ]
    topic = ""
    for promise in promises():
        if promise.topic != topic:
            topic = promise.topic
            lines += ["", f"## {topic}", ""]
        lines.append(f"- {promise.sentence} ([{promise.test}](../{promise.path}))")
    return "\n".join(lines) + "\n"
