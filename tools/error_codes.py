"""The error codes in the code of a package, with the words that callers read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

_CODE = re.compile(r"[A-Za-z…][A-Za-z_.…]*$")


class ErrorCode(NamedTuple):
    """A code and one of its messages; `…` stands for what is filled in."""

    code: str
    message: str


def error_codes(*paths: Path, known: Iterable[Path] = ()) -> list[ErrorCode]:
    """All codes that these files, and those of these folders, raise or answer with, sorted.

    Functions, classes and constants of `known` files are understood, their own codes left out.
    """
    nodes = _nodes(paths)
    reader = _Reader([*nodes, *_nodes(known)])
    found = {entry for node in nodes for entry in reader.of_node(node) if _CODE.match(entry.code)}
    told = {entry.code for entry in found if entry.message}
    return sorted(entry for entry in found if entry.message or entry.code not in told)


def _nodes(paths: Iterable[Path]) -> list[ast.AST]:
    return [node for path in paths for file in _files(path) for node in _nodes_of(file)]


@cache
def _nodes_of(file: Path) -> list[ast.AST]:
    """Modules share many files: each is read once."""
    return list(ast.walk(ast.parse(file.read_text("utf-8"))))


def what_it_uses(folder: Path, package: Path, *shared: Path) -> list[Path]:
    """The files of a folder and those of the package that they import, directly or not.

    What is `shared` (files or folders) is left out, and not looked through.
    """
    left, found = _files(folder), dict[Path, None]()
    while left:
        file = left.pop()
        apart = any(file == path or path in file.parents for path in shared)
        if file not in found and not apart:
            found[file] = None
            left += _imported(file, package)
    return sorted(found)


def _imported(file: Path, package: Path) -> Iterator[Path]:
    for node in _nodes_of(file):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package.name + "."):
            path = package.parent.joinpath(*(node.module or "").split("."))
            yield path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


class _Reader:
    """Finds codes, knowing what the names in the same files stand for."""

    def __init__(self, nodes: list[ast.AST]) -> None:
        #: The values of names that are constants.
        self._constants: dict[str, str] = {}
        #: Where functions and classes of ours take a code: positions of the argument `code`.
        self._places: dict[str, set[int]] = {}
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                self._learn_class(node)
            elif isinstance(node, ast.FunctionDef):
                self._learn(node.name, [argument.arg for argument in node.args.args])
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                self._learn_constant(node)

    def _learn_class(self, node: ast.ClassDef) -> None:
        fields = [made.target for made in node.body if isinstance(made, ast.AnnAssign)]
        self._learn(node.name, [_name(target) for target in fields])
        for made in node.body:
            if isinstance(made, ast.FunctionDef) and made.name == "__init__":
                self._learn(node.name, [argument.arg for argument in made.args.args])

    def _learn(self, name: str, arguments: list[str]) -> None:
        arguments = [argument for argument in arguments if argument != "self"]
        if "code" in arguments:
            self._places.setdefault(name, set()).add(arguments.index("code"))

    def _learn_constant(self, node: ast.Assign | ast.AnnAssign) -> None:
        name = _name(node.targets[0] if isinstance(node, ast.Assign) else node.target)
        value = node.value.value if isinstance(node.value, ast.Constant) else None
        if name.isupper() and isinstance(value, str):
            self._constants[name] = value

    def of_node(self, node: ast.AST) -> Iterator[ErrorCode]:
        if isinstance(node, ast.ClassDef):
            yield from _of_class(node)
        elif isinstance(node, ast.Call):
            yield from self._of_call(node)

    def _of_call(self, node: ast.Call) -> Iterator[ErrorCode]:
        """`BusError(message, code=…)`, `ErrorBody(code, message)`, `call.fail(code, message)`,
        and codes handed on to functions of ours: `changing("SET_ERROR", …)`."""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else _name(node.func)
        texts = [self._text(argument) for argument in node.args]
        for keyword in node.keywords:
            if keyword.arg == "code" and (code := self._text(keyword.value)):
                yield ErrorCode(code, texts[0] or "" if texts else "")
        if name in ("ErrorBody", "fail") and texts and texts[0]:
            yield ErrorCode(texts[0], (texts[1] or "") if len(texts) > 1 else "")
        else:
            places = self._places.get(name, set())
            for place, text in enumerate(texts):  # some come through tables; those look like this
                if text and (place in places or (text.endswith("_ERROR") and text.isupper())):
                    yield ErrorCode(text, "")

    def _text(self, node: ast.expr) -> str | None:
        """A string, a name for one, or an f-string with `…` for its values."""
        if isinstance(node, ast.Name):
            return self._constants.get(node.id)
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        if isinstance(node, ast.JoinedStr):
            parts = [
                self._text(part) if isinstance(part, ast.Constant) else "…" for part in node.values
            ]
            return "".join(part or "" for part in parts)
        return None


def _of_class(node: ast.ClassDef) -> Iterator[ErrorCode]:
    """An error class with a `code` of its own: its docstring says when."""
    for statement in node.body:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if isinstance(target, ast.Name) and target.id == "code":
            value = statement.value if isinstance(statement, ast.Assign) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                summary = (ast.get_docstring(node) or "").split("\n\n")[0]
                yield ErrorCode(value.value, " ".join(summary.split()))


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""
