"""Write docs/reference from the code: options, functions, trigger types and error codes of every
module, and the functions of every worker with what calls them; and docs/promises.md from the tests.

The modules are started in this process, so what is written is what a running engine offers.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from agentos.host.catalogue import load_worker, worker_names
from iii_engine.app import App
from iii_engine.config.entries import parse
from iii_engine.core.registry import Function
from iii_engine.core.triggers import TriggerType
from iii_engine.modules.base import Module
from iii_engine.modules.catalogue import BUILTINS
from iii_sdk.bindings import Binding
from iii_sdk.errors import BusError
from iii_sdk.worker import Function as WorkerFunction
from iii_sdk.worker import Worker
from tools.error_codes import ErrorCode, error_codes, what_it_uses
from tools.field_comments import Comments, comments_in, with_bases
from tools.promises import promises_page
from tools.schema_text import fields_table

DOCS = Path(__file__).resolve().parent.parent / "docs"
REFERENCE = DOCS / "reference"
PROMISES = DOCS / "promises.md"
ENGINE = Path(inspect.getfile(App)).parent
#: What workers and engine say to each other.
PROTOCOL = Path(inspect.getfile(BusError)).parent
#: What all modules have: its errors are on a page of their own.
SHARED = (ENGINE / "core", ENGINE / "modules" / "base.py")
CLIENT_ERRORS: Final = """\
What a client says itself, without an answer of the engine. Engines are clients of each other over a
bridge: there these codes are the `details.code` of a `bridge_error`."""
CLIENT_CODES: Final = {
    "TIMEOUT": "no answer came in time; the function may still run",
    "connection_lost": "the connection ended during the call; whether it was done is not known",
    "connection_overloaded": "the engine does not keep up with what it is sent",
    "not_connected": "there was no connection in time; nothing was sent",
    "SHUTDOWN": "the client was shut down during the call",
    "bridge_loop": "over bridges only: engines that bridge each other sent the call in a circle",
}
#: Options to start a module with: a free port, and what has no default.
NEEDED: dict[str, dict[str, object]] = {
    "iii-worker-manager": {"port": 0},
    "iii-http": {"port": 0},
    "iii-stream": {"port": 0},
    "iii-exec": {"exec": ["true"]},
    "iii-bridge": {"url": "ws://127.0.0.1:9"},  # nobody is there
}
NOTICE = "<!-- Written by `make docs` from the code; edit the code. -->"


def main() -> None:
    logging.getLogger("iii.bridge").setLevel(logging.ERROR)  # its other engine is not there
    pages = reference_pages()
    shutil.rmtree(REFERENCE, ignore_errors=True)
    for path, text in pages.items():
        (REFERENCE / path).parent.mkdir(parents=True, exist_ok=True)
        (REFERENCE / path).write_text(text, encoding="utf-8")
    PROMISES.write_text(promises_page(), encoding="utf-8")
    print(f"wrote {len(pages)} pages of docs/reference and docs/promises.md")


def reference_pages() -> dict[Path, str]:
    """The pages by their path below docs/reference."""
    pages = {Path("index.md"): ""}
    index = [NOTICE, "", "# Reference", "", "## Modules of the engine", ""]
    for name, summary, text in asyncio.run(module_pages()):
        pages[Path("engine", f"{name}.md")] = text
        index.append(f"- [{name}](engine/{name}.md): {summary}")
    index += ["", "[Errors of the bus](errors.md): what any call may end with."]
    pages[Path("errors.md")] = errors_page()
    index += ["", "## Workers of AgentOS", ""]
    for worker in map(load_worker, worker_names()):
        pages[Path("workers", f"{worker.name}.md")] = worker_page(worker)
        index.append(f"- [{worker.name}](workers/{worker.name}.md): {worker.description}")
    pages[Path("index.md")] = "\n".join(index) + "\n"
    return pages


# -- modules ---------------------------------------------------------------------------------


async def module_pages() -> list[tuple[str, str, str]]:
    """Name, summary and page of every module that this version has, started on free ports."""
    entries = [
        {"name": builtin.name, "config": NEEDED.get(builtin.name, {})}
        for builtin in BUILTINS
        if builtin.available
    ]
    app = App(parse(json.dumps({"workers": entries}), Path("config.yaml"), {}))
    await app.start()
    try:
        return [module_page(app, module) for _, module in sorted(app.modules.items())]
    finally:
        await app.stop(grace=0)


def module_page(app: App, module: Module[Any]) -> tuple[str, str, str]:
    text = inspect.getdoc(inspect.getmodule(module)) or inspect.getdoc(module) or module.name
    summary = " ".join(text.split("\n\n")[0].split()).removeprefix(f"`{module.name}`: ")
    summary = summary[:1].upper() + summary[1:]
    options = msgspec.json.schema(type(module.options), schema_hook=anything)
    folder = Path(inspect.getfile(type(module))).parent
    known = comments_in(PROTOCOL) | comments_in(ENGINE) | comments_in(folder)
    meanings = with_bases(known, ENGINE, folder)
    lines = [NOTICE, "", f"# {module.name}", "", summary, ""]
    lines += fields_table(options, "Options", meanings) or ["It has no options.", ""]
    lines += adapters_section(type(module.options), meanings)
    functions = [f for f in app.engine.registry if f.module == module.name]
    if functions:
        lines += ["## Functions", ""]
    for function in sorted(functions, key=lambda function: function.id):
        lines += function_section(function, meanings)
    kinds = [t for t in app.engine.triggers.types() if t.module == module.name]
    if kinds:
        lines += ["## Trigger types", ""]
    for kind in sorted(kinds, key=lambda kind: kind.id):
        lines += type_section(kind, meanings)
    files = what_it_uses(folder, ENGINE, *SHARED)
    lines += errors_section(error_codes(*files, known=SHARED))
    return module.name, summary, "\n".join(lines).rstrip() + "\n"


def adapters_section(options: type, meanings: Comments) -> list[str]:
    """What each adapter is configured with, where a file beside the options says it."""
    package = options.__module__.rpartition(".")[0]
    configs: dict[str, type] = {}
    for name, module in sorted(sys.modules.items()):
        if name.rpartition(".")[0] == package:
            configs = configs or getattr(module, "ADAPTER_CONFIGS", {})
    lines = ["## Adapters", ""] if configs else []
    for name, config in configs.items():
        lines += [f"### `{name}`", "", inspect.getdoc(config) or "", ""]
        lines += fields_table(msgspec.json.schema(config), "Config", meanings)
    return lines


def anything(kind: type) -> dict[str, Any]:
    """The schema of what has none, such as `object`: any value."""
    return {"type": "any"}


def errors_section(codes: list[ErrorCode]) -> list[str]:
    """A table of codes with what callers read."""
    if not codes:
        return []
    lines = ["## Errors", "", "| code | message |", "|---|---|"]
    for code, message in codes:
        told = message or "says what went wrong"
        lines.append(f"| `{code}` | {told.replace('|', '/')} |")
    return [*lines, ""]


def errors_page() -> str:
    """The codes that any call may end with."""
    lines = [NOTICE, "", "# Errors of the bus", ""]
    lines += ["What any call may end with; modules add codes of their own. `…` is filled in.", ""]
    lines += errors_section(error_codes(*SHARED))
    lines += ["## Errors of a client", "", CLIENT_ERRORS, "", "| code | when |", "|---|---|"]
    lines += [f"| `{code}` | {when} |" for code, when in CLIENT_CODES.items()]
    return "\n".join(lines).rstrip() + "\n"


def function_section(function: Function, meanings: Comments) -> list[str]:
    offer = function.newest
    lines = [f"### `{function.id}`", "", offer.description or "", ""]
    lines += fields_table(json.loads(bytes(offer.request_format)), "Request", meanings)
    lines += fields_table(json.loads(bytes(offer.response_format)), "Result", meanings)
    return lines


def type_section(kind: TriggerType, meanings: Comments) -> list[str]:
    lines = [f"### `{kind.id}`", "", kind.description, ""]
    lines += fields_table(json.loads(bytes(kind.trigger_request_format)), "Config", meanings)
    lines += fields_table(json.loads(bytes(kind.call_request_format)), "Payload", meanings)
    return lines


# -- workers ---------------------------------------------------------------------------------


def worker_page(worker: Worker) -> str:
    lines = [NOTICE, "", f"# {worker.name}", "", worker.description or "", ""]
    for function in sorted(worker.functions.values(), key=lambda function: function.id):
        lines += worker_function(function)
    return "\n".join(lines).rstrip() + "\n"


def worker_function(function: WorkerFunction) -> list[str]:
    lines = [f"## `{function.id}`", "", function.description or "", ""]
    if function.aliases:
        lines += ["Also called " + ", ".join(f"`{alias}`" for alias in function.aliases) + ".", ""]
    if function.bindings:
        lines += [*(f"- {binding_text(binding)}" for binding in function.bindings), ""]
    lines += fields_table(json.loads(bytes(function.request_format)), "Request")
    lines += fields_table(json.loads(bytes(function.response_format)), "Result")
    return lines


def binding_text(binding: Binding) -> str:
    if binding.route is None:
        return f"`{binding.trigger_type}` {json.dumps(dict(binding.config), sort_keys=True)}"
    auth = {"required": "", "optional": ", key optional", "none": ", public"}[binding.route.auth]
    return f"`{binding.route.method} {binding.route.path}`{auth}"


if __name__ == "__main__":
    main()
