"""House rules that no linter knows: file sizes and names, what the engine takes from the SDK, pins.

Prints every breach and exits with 1 when there is one.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tools.field_comments import fields_of

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 600
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "misc", "common"}
SDK_FOR_ENGINE = {
    f"iii_sdk.{part}" for part in ("protocol", "malformed", "masking", "traceparent", "errors")
}
CLIENTS = ("src/iii_engine/cli", "src/iii_engine/modules/bridge")
PINS = ("constraints.txt", "constraints-dev.txt")


def sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in found if "node_modules" not in path.parts)


def sizes_and_names() -> Iterator[str]:
    """A file that does not fit in a head is two files; a vague name invites everything."""
    for path in sources("src", "tests", "benchmarks", "tools"):
        name = path.relative_to(ROOT)
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_LINES:
            yield f"{name}: {lines} lines, at most {MAX_LINES}"
        if path.stem in VAGUE_NAMES:
            yield f"{name}: name the noun that lives here"
        if path.name == "__init__.py" and name.parts[0] == "tests":
            yield f"{name}: tests are no packages (they are imported by path)"


def engine_imports() -> Iterator[str]:
    """The engine shares the wire with the SDK; its command line and its bridge are clients."""
    for path in sources("src/iii_engine"):
        if any(path.is_relative_to(ROOT / folder) for folder in CLIENTS):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for module in imported(node):
                if module.split(".")[0] == "iii_sdk" and module not in SDK_FOR_ENGINE:
                    where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
                    yield f"{where}: the engine may import {sorted(SDK_FOR_ENGINE)}, not {module}"


def imported(node: ast.AST) -> list[str]:
    """Full names of the modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom) or node.module is None:
        return []
    if node.module == "iii_sdk":
        return [f"iii_sdk.{alias.name}" for alias in node.names]
    return [node.module]


def pins() -> Iterator[str]:
    """Everything the project asks for is pinned, and the pins name no address."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    runtime = project["project"]["dependencies"] + project["dependency-groups"]["build"]
    extras = project["project"]["optional-dependencies"]
    asked = {
        "constraints.txt": runtime + extras["agentos"],
        "constraints-dev.txt": runtime + extras["agentos"] + extras["dev"],
    }
    for name in PINS:
        text = (ROOT / name).read_text(encoding="utf-8")
        pinned = {match.lower() for match in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}
        for requirement in asked[name]:
            package = re.split(r"[\s<>=!~;\[]", requirement, maxsplit=1)[0].lower()
            if package not in pinned:
                yield f"{name}: {package} is not pinned; run make lock"
        if re.search(r"://|^\s*(--(?!hash)|-[a-z])", text, re.MULTILINE):
            yield f"{name}: names an address or an index option"


def options() -> Iterator[str]:
    """An option that nobody explains is used wrongly. The reference takes its text."""
    for path in sources("src/iii_engine/modules"):
        if path.name != "options.py":
            continue
        for name, field, meaning in fields_of(path):
            if not meaning:
                yield f"{path.relative_to(ROOT)}: say in a #: comment what {name}.{field} does"


def main() -> int:
    breaches = [*sizes_and_names(), *engine_imports(), *pins(), *options()]
    for breach in breaches:
        print(breach, file=sys.stderr)
    if not breaches:
        print("house: in order")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
