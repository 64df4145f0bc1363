"""YAML text as plain values that know where they stand.

References to the environment are expanded inside scalars after parsing, so a substituted text can
never add structure, and comments are never touched: a plain scalar is resolved again after the
substitution, a quoted one stays a string. Scalars follow the YAML 1.2 core schema: `on`, `yes` and
`12:30` are strings. So are the infinities, which no option takes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

from iii_engine.config.environment import Environment
from iii_engine.config.errors import ConfigError
from iii_engine.config.references import References

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"
Path: TypeAlias = tuple[str | int, ...]

_STRING_TAG = "tag:yaml.org,2002:str"
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class _Loader(yaml.SafeLoader):
    """Only builds the tree: with no implicit resolvers every untagged scalar is a string node."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


@dataclass
class Document:
    """The value of a YAML text and the line and column of each of its parts."""

    value: Value
    marks: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def where(self, path: Path) -> str:
        """The place of a part, for messages: `line 3 column 5`."""
        line, column = self.marks.get(path, (1, 1))
        return f"line {line} column {column}"


def parse(text: str, environment: Environment) -> Document:
    """Read YAML. Raises `ConfigError` with the reason, line and column."""
    document = Document(None)
    references = References(environment)
    try:
        node = yaml.compose(references.hide(text), _Loader)
        if node is not None:
            document.value = _Builder(references, document.marks).build(node, ())
    except yaml.MarkedYAMLError as error:
        raise ConfigError(references.restore(_problem(error))) from None
    except yaml.YAMLError as error:
        raise ConfigError(references.restore(" ".join(str(error).split()))) from None
    except RecursionError:
        raise ConfigError("it is nested too deeply, or an alias contains itself") from None
    return document


def resolve(text: str) -> bool | int | float | str | None:
    """The value of a plain scalar. A number with a leading zero (`007`) stays text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text) and not _LEADING_ZERO.fullmatch(text):
        return float(text)
    return text


class _Builder:
    """Turns nodes into values; `marks` collects where each stood (a member: its key), from 1."""

    def __init__(self, references: References, marks: dict[Path, tuple[int, int]]) -> None:
        self._references = references
        self._marks = marks

    def build(self, node: yaml.Node, path: Path) -> Value:
        self._mark(node, path)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)
        return self._mapping(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"a key must be a plain text at {_place(key)}")
            name = self._references.restore(key.value)
            if name in values:
                raise ConfigError(f"duplicate key `{name}` at {_place(key)}")
            values[name] = self.build(value, (*path, name))
            self._mark(key, (*path, name))
        return values

    def _mark(self, node: yaml.Node, path: Path) -> None:
        self._marks[path] = (node.start_mark.line + 1, node.start_mark.column + 1)

    def _scalar(self, node: yaml.ScalarNode) -> Value:
        if node.tag != _STRING_TAG:
            raise ConfigError(f"the tag {node.tag} is not supported at {_place(node)}")
        text = self._references.expand(node.value)
        return resolve(text) if node.style is None else text


def _problem(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = f" at line {mark.line + 1} column {mark.column + 1}" if mark else ""
    context = f", {error.context}" if error.context else ""
    return f"{error.problem}{context}{place}"


def _place(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1} column {node.start_mark.column + 1}"
