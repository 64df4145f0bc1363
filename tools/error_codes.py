"""The error codes in the code of a package, with the words that callers read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class ErrorCode(NamedTuple):
    """A code and one of its messages; `…` stands for what is filled in."""

    code: str
    message: str


def error_codes(*folders: Path) -> list[ErrorCode]:
    """All codes that the files of the folders raise or answer with, sorted."""
    paths = [
        path
        for folder in folders
        for path in (sorted(folder.rglob("*.py")) if folder.is_dir() else [folder])
    ]
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    places = _places(nodes)
    found = {entry for node in nodes for entry in _of_node(node, places)}
    told = {entry.code for entry in found if entry.message}
    return sorted(entry for entry in found if entry.message or entry.code not in told)


def _places(nodes: list[ast.AST]) -> dict[str, int]:
    """Where functions and classes of ours take a code: the position of the argument `code`."""
    places: dict[str, int] = {}
    for node in nodes:
        if isinstance(node, ast.ClassDef):
            for made in node.body:
                if isinstance(made, ast.FunctionDef) and made.name == "__init__":
                    places.update(_place(node.name, made))
        elif isinstance(node, ast.FunctionDef):
            places.update(_place(node.name, node))
    return places


def _place(name: str, function: ast.FunctionDef) -> dict[str, int]:
    names = [argument.arg for argument in function.args.args if argument.arg != "self"]
    return {name: names.index("code")} if "code" in names else {}


def _of_node(node: ast.AST, places: dict[str, int]) -> Iterator[ErrorCode]:
    if isinstance(node, ast.ClassDef):
        yield from _of_class(node)
    elif isinstance(node, ast.Call):
        yield from _of_call(node, places)


def _of_class(node: ast.ClassDef) -> Iterator[ErrorCode]:
    """An error class with a `code` of its own: its docstring says when."""
    for statement in node.body:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if isinstance(target, ast.Name) and target.id == "code":
            value = statement.value if isinstance(statement, ast.Assign) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                summary = (ast.get_docstring(node) or "").split("\n\n")[0]
                yield ErrorCode(value.value, " ".join(summary.split()))


def _of_call(node: ast.Call, places: dict[str, int]) -> Iterator[ErrorCode]:
    """`BusError(message, code=…)`, `ErrorBody(code, message)`, `call.fail(code, message)`,
    and codes handed on to functions of ours: `changing("SET_ERROR", …)`."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else _name(node.func)
    texts = [_text(argument) for argument in node.args]
    for keyword in node.keywords:
        if keyword.arg == "code" and (code := _text(keyword.value)):
            yield ErrorCode(code, texts[0] or "" if texts else "")
    if name in ("ErrorBody", "fail") and texts and texts[0]:
        yield ErrorCode(texts[0], (texts[1] or "") if len(texts) > 1 else "")
    elif (place := places.get(name, len(texts))) < len(texts) and (code := texts[place]):
        yield ErrorCode(code, "")
    else:  # what all modules share is not in the folder; such codes are written like this
        for text in texts:
            if text and text.endswith("_ERROR") and text.isupper():
                yield ErrorCode(text, "")


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.expr) -> str | None:
    """A string literal, or an f-string with `…` for its values."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        parts = [_text(part) if isinstance(part, ast.Constant) else "…" for part in node.values]
        return "".join(part or "" for part in parts)
    return None
