"""What the comments beside the fields of Structs say, for the reference.

A field is explained by `#:` lines above it or by a comment behind it, as people read it in the
code; nobody has to keep a second text.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

#: What each field means, by class name and field name as on the wire.
Comments = dict[str, dict[str, str]]


def comments_in(folder: Path) -> Comments:
    """Of all classes in the Python files below a folder."""
    found: Comments = {}
    for path in sorted(folder.rglob("*.py")):
        for name, field, meaning in fields_of(path):
            if meaning:
                found.setdefault(name, {})[field] = meaning
    return found


def with_bases(comments: Comments, *folders: Path) -> Comments:
    """The same, where classes in these folders also have what their bases say of their fields.

    Of classes with the same name those of the last folder count.
    """
    bases: dict[str, list[str]] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            bases |= _bases_of(path)

    def meanings(name: str, below: tuple[str, ...] = ()) -> dict[str, str]:
        found: dict[str, str] = {}
        for base in bases.get(name, ()):
            if base not in below and base != name:  # another class of the same name
                found |= meanings(base, (*below, name))
        return found | comments.get(name, {})

    return comments | {name: meanings(name) for name in bases}


@cache
def _bases_of(path: Path) -> dict[str, list[str]]:
    """The classes of a file that have bases with a plain name."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            found[node.name] = [base.id for base in node.bases if isinstance(base, ast.Name)]
    return found


@cache
def fields_of(path: Path) -> list[tuple[str, str, str]]:
    """Class, field and its meaning, for all annotated fields of a file; each is read once."""
    return list(_read(path.read_text(encoding="utf-8")))


def _read(text: str) -> Iterator[tuple[str, str, str]]:
    beside = dict(_comments(text))
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            camel = any(
                keyword.arg == "rename"
                and isinstance(keyword.value, ast.Constant)
                and keyword.value.value == "camel"
                for keyword in node.keywords
            )
            for field in node.body:
                if isinstance(field, ast.AnnAssign):
                    name = _wire_name(field)
                    yield node.name, _camel(name) if camel else name, _meaning(field, beside, lines)


def _comments(text: str) -> Iterator[tuple[int, str]]:
    """Line numbers and comments."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _meaning(field: ast.AnnAssign, beside: dict[int, str], lines: list[str]) -> str:
    above: list[str] = []
    line = field.lineno - 1
    while line in beside and lines[line - 1].lstrip().startswith("#:"):
        above.insert(0, beside[line].removeprefix("#:").strip())
        line -= 1
    if above:
        return " ".join(above)
    behind = beside.get(field.end_lineno or field.lineno, "")
    return "" if "noqa" in behind or "type:" in behind else behind.removeprefix("#").strip()


def _camel(name: str) -> str:
    """As the codec renames fields."""
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def _wire_name(field: ast.AnnAssign) -> str:
    """The name of a field, which `field(name=…)` may give."""
    if isinstance(field.value, ast.Call):
        for keyword in field.value.keywords:
            if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                return str(keyword.value.value)
    return field.target.id if isinstance(field.target, ast.Name) else ""
