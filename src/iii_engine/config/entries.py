"""The config file: which modules run, with which options.

Two forms are read: `workers:` with names, and the older `modules:` with classes and `port:`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from iii_engine.config.environment import Environment
from iii_engine.config.errors import ConfigError
from iii_engine.modules.catalogue import BUILTINS, WORKER_MANAGER, find

if TYPE_CHECKING:
    from iii_engine.config.document import Document, Value

DEFAULT_PATH = "config.yaml"
DEFAULT_PORT = 49134

_TOP_LEVEL = ("workers", "modules", "port", "version")
_ENTRY = ("name", "class", "image", "worker_path", "config")


@dataclass(frozen=True)
class Entry:
    """One configured module. `name` is the instance, `kind` what the catalogue calls it.

    `injected` is true for what the file did not ask for.
    """

    name: str
    kind: str
    config: dict[str, Value] = field(default_factory=dict)
    image: str | None = None
    worker_path: str | None = None
    injected: bool = False


@dataclass(frozen=True)
class Config:
    """The entries in start order; `warnings` are for the log once it is set up."""

    entries: tuple[Entry, ...]
    path: Path | None = None
    warnings: tuple[str, ...] = ()


def load(path: str | Path, variables: Mapping[str, str] = os.environ) -> Config:
    """Read a config file. Raises `ConfigError` with a message for the terminal."""
    path = Path(path)
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"Config file not found: '{path}'. Create it, or start with --use-default-config."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Failed to read config file '{path}': {error}") from None
    return parse(text, path, variables)


def parse(text: str, path: Path, variables: Mapping[str, str]) -> Config:
    """As `load`, for text that was read from `path`."""
    from iii_engine.config import document  # not needed without a file

    if not text.strip():
        # Whoever wants the defaults says so. An editor, or a full disk, leaves a file like this.
        raise ConfigError(f"Failed to parse config file '{path}': it is empty")
    environment = Environment(variables)
    try:
        reader = _Reader(document.parse(text, environment))
        entries = [] if environment.missing else reader.entries()
    except ConfigError as error:
        raise ConfigError(f"Failed to parse config file '{path}': {error}") from None
    if environment.missing:
        names = ", ".join(environment.missing)
        raise ConfigError(f"config: environment variables not set and no default: {names}")
    return Config(_numbered(_complete(entries)), path, tuple(reader.warnings))


def default() -> Config:
    """What runs without a config file: the default modules with default options."""
    return Config(tuple(Entry(b.name, b.name, injected=True) for b in BUILTINS if b.default))


def with_port(config: Config, port: int) -> Config:
    """The config with another port for the first worker listener."""
    entries = list(config.entries)
    index = next(i for i, entry in enumerate(entries) if entry.kind == WORKER_MANAGER)
    entries[index] = replace(entries[index], config={**entries[index].config, "port": port})
    return replace(config, entries=tuple(entries))


class _Reader:
    """Takes the entries out of a document; complaints name the line and column."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.warnings: list[str] = []

    def entries(self) -> list[Entry]:
        root = self._document.value
        if root is None:
            root = {}
        if not isinstance(root, dict):
            raise self._wrong((), "a mapping", root)
        self._refuse_unknown(root, (), _TOP_LEVEL)
        entries = [*self._list(root, "workers"), *self._list(root, "modules")]
        if (port := root.get("port")) is not None:
            self._add_port(entries, port)
        return entries

    def _list(self, root: dict[str, Value], key: str) -> Iterable[Entry]:
        items = root.get(key)
        if items is None:
            return []
        if not isinstance(items, list):
            raise self._wrong((key,), "a list", items)
        return [self._entry(item, (key, i)) for i, item in enumerate(items)]

    def _entry(self, item: Value, path: tuple[str | int, ...]) -> Entry:
        if not isinstance(item, dict):
            raise self._wrong(path, "a mapping", item)
        self._refuse_unknown(item, path, _ENTRY)
        name = self._text(item, path, "name") or self._text(item, path, "class")
        if not name:
            raise ConfigError(f"{dotted(path)}: missing `name` at {self._document.where(path)}")
        config = item.get("config")
        if config is None:
            config = {}
        if not isinstance(config, dict):
            raise self._wrong((*path, "config"), "a mapping", config)
        builtin = find(name)
        kind = name if builtin is None else builtin.name
        image, folder = self._text(item, path, "image"), self._text(item, path, "worker_path")
        return Entry(kind, kind, config, image, folder)

    def _text(self, item: dict[str, Value], path: tuple[str | int, ...], key: str) -> str | None:
        value = item.get(key)
        if value is not None and not isinstance(value, str):
            raise self._wrong((*path, key), "a string", value)
        return value

    def _add_port(self, entries: list[Entry], port: Value) -> None:
        if isinstance(port, bool) or not isinstance(port, int):
            raise self._wrong(("port",), "an integer", port)
        if any(entry.kind == WORKER_MANAGER for entry in entries):
            self.warnings.append(f"port: {port} is ignored: there is an {WORKER_MANAGER} entry")
        else:
            options: dict[str, Value] = {"port": port or DEFAULT_PORT}
            entries.append(Entry(WORKER_MANAGER, WORKER_MANAGER, options))

    def _refuse_unknown(
        self, value: dict[str, Value], path: tuple[str | int, ...], known: tuple[str, ...]
    ) -> None:
        for key in value:
            if key not in known:
                place = self._document.where((*path, key))
                prefix = f"{dotted(path)}: " if path else ""
                raise ConfigError(
                    f"{prefix}unknown field `{key}`, expected one of {quoted(known)} at {place}"
                )

    def _wrong(self, path: tuple[str | int, ...], expected: str, value: Value) -> ConfigError:
        where = f"{dotted(path)}: " if path else ""
        place = self._document.where(path)
        return ConfigError(
            f"{where}invalid type: {type_name(value)}, expected {expected} at {place}"
        )


def _complete(entries: list[Entry]) -> list[Entry]:
    """Add the mandatory modules that the file left out."""
    present = {entry.kind for entry in entries}
    return entries + [
        Entry(builtin.name, builtin.name, injected=True)
        for builtin in BUILTINS
        if builtin.mandatory and builtin.name not in present
    ]


def _numbered(entries: list[Entry]) -> tuple[Entry, ...]:
    """Instance ids: the first of a kind keeps its name, the next are `<kind>#1`, `<kind>#2`…"""
    counts: dict[str, int] = {}
    numbered = []
    for entry in entries:
        count = counts.get(entry.kind, 0)
        counts[entry.kind] = count + 1
        numbered.append(replace(entry, name=f"{entry.kind}#{count}") if count else entry)
    return tuple(numbered)


def dotted(path: tuple[str | int, ...]) -> str:
    """`workers[2].config.port`"""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def type_name(value: Value) -> str:
    """What a person calls the type; never the value, which may be a secret."""
    if value is None:
        return "null"
    names = {bool: "boolean", int: "integer", float: "float", str: "string", list: "list"}
    return names.get(type(value), "mapping")
