"""`agentos`: start and stop the system, look at it, talk to an agent."""

from __future__ import annotations

import json
import sys
import uuid
from importlib import metadata
from typing import Annotated

import typer

from agentos.cli.client import CHAT_SECONDS, Client, CommandError, path_id
from agentos.host.home import Home, HomeError

app = typer.Typer(
    name="agentos",
    help="An operating system for AI agents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """The console script. Exit codes: 1 error, 2 bad input, 3 key, 4 absent, 5 nothing answers."""
    try:
        app()
    except CommandError as error:
        typer.echo(typer.style("✗ ", fg="red") + error.text, err=True)
        if error.hint:
            typer.echo(f"  {error.hint}", err=True)
        sys.exit(error.code)
    except HomeError as error:
        typer.echo(typer.style("✗ ", fg="red") + str(error), err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"agentos {metadata.version('agentos')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """An operating system for AI agents."""


@app.command()
def start(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when it is up.")] = False,
) -> None:
    """Start the engine and all workers; Ctrl+C ends them."""
    from agentos.cli.running import start_detached, start_here

    sys.exit(start_detached() if detach else start_here())


@app.command()
def stop() -> None:
    """Stop the system that runs from this home."""
    from agentos.cli.running import stop_running

    stop_running(Home.from_environment())


@app.command()
def status(as_json: Json = False) -> None:
    """Is it up, which version, how many workers, for how long."""
    health = _client().request("GET", "/api/health")
    if as_json:
        typer.echo(json.dumps(health))
        return
    fields = health if isinstance(health, dict) else {}
    bullet = typer.style("●", fg="green" if fields.get("status") == "healthy" else "red")
    typer.echo(f"{bullet} agentos v{fields.get('version', '-')}  {fields.get('status', '-')}")
    if "workers" not in fields:  # it is up, and says no more to strangers
        raise CommandError("the key was not accepted", 3, "see AGENTOS_API_KEY and AGENTOS_HOME")
    typer.echo(f"  workers  {fields['workers']} on the bus, modules of the engine among them")
    uptime = fields.get("uptime")
    typer.echo(
        f"  uptime   {int(uptime)} s" if isinstance(uptime, (int, float)) else "  uptime   -"
    )


@app.command()
def health(as_json: Json = False) -> None:
    """The health of the system in one word."""
    answer = _client().request("GET", "/api/health")
    if as_json:
        typer.echo(json.dumps(answer))
        return
    word = answer.get("status") if isinstance(answer, dict) else None
    typer.echo(typer.style(f"● {word}", fg="green" if word == "healthy" else "red"))


@app.command()
def message(agent: str, text: str, as_json: Json = False) -> None:
    """Send one message to an agent and print its answer."""
    answer = _say(_client(), agent, text, None)
    typer.echo(json.dumps(answer) if as_json else _content(answer))


@app.command()
def chat(agent: Annotated[str, typer.Argument()] = "default") -> None:
    """Talk to an agent; `exit`, `quit` or the end of input leave."""
    client = _client()
    session = f"cli:{uuid.uuid4()}"
    while True:
        try:
            text = input("you> ").strip()
        except EOFError:
            typer.echo()
            return
        if text in ("exit", "quit"):
            return
        if text:
            typer.echo(f"agent> {_content(_say(client, agent, text, session))}")


def _client() -> Client:
    return Client.from_home(Home.from_environment())


def _say(client: Client, agent: str, text: str, session: str | None) -> object:
    body = {"message": text} if session is None else {"message": text, "sessionId": session}
    path = f"/api/agents/{path_id(agent)}/message"
    return client.request("POST", path, body, timeout=CHAT_SECONDS)


def _content(answer: object) -> str:
    content = answer.get("content") if isinstance(answer, dict) else None
    return content if isinstance(content, str) and content else "(no response)"


if __name__ == "__main__":
    main()
