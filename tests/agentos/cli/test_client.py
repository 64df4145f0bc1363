"""The command line against an API that answers what the test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.support.house import free_ports

from agentos.cli import main as cli
from agentos.host.home import Home
from agentos.host.state import RunState

Output = pytest.CaptureFixture[str]


class Api:
    """Answers every request with `status` and `body`; `requests` are what came."""

    def __init__(self) -> None:
        self.status = 200
        self.body: object = {}
        self.requests: list[tuple[str, str, str | None, Any]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                size = int(self.headers.get("content-length") or 0)
                sent = json.loads(self.rfile.read(size)) if size else None
                key = self.headers.get("authorization")
                api.requests.append((self.command, self.path, key, sent))
                text = api.body if isinstance(api.body, str) else json.dumps(api.body)
                self.send_response(api.status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_POST = do_GET

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        return Handler

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    api = Api()
    monkeypatch.setenv("AGENTOS_HOME", str(tmp_path))
    monkeypatch.setenv("AGENTOS_API_KEY", "the-key")
    monkeypatch.setenv("AGENTOS_API_URL", api.url)
    yield api
    api.close()


def agentos(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the console script in this process; its exit code."""
    monkeypatch.setattr("sys.argv", ["agentos", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> Any:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = agentos(monkeypatch, *arguments)
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


@pytest.mark.parametrize(
    ("status", "code"), [(400, 2), (401, 3), (403, 3), (404, 4), (409, 1), (429, 1), (500, 1)]
)
def test_errors_have_exit_codes(api: Api, run: Any, status: int, code: int) -> None:
    api.status, api.body = status, {"error": "it said why"}
    assert run("message", "default", "hi") == (code, "", f"✗ it said why ({status})\n")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"error": {"message": "nested", "code": "x"}}, "nested"),
        ("plain", "plain"),
        ("", "the server gave no reason"),
        ({"other": 1}, "{'other': 1}"),
    ],
)
def test_whatever_form_an_error_has(api: Api, run: Any, body: Any, text: str) -> None:
    api.status, api.body = 500, body
    assert run("status") == (1, "", f"✗ {text} (500)\n")


def test_nothing_there_is_5(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("AGENTOS_HOME", str(tmp_path))
    monkeypatch.setenv("AGENTOS_API_URL", f"http://127.0.0.1:{port}")
    code, _, error = run("health")
    assert code == 5
    assert error == (
        f"✗ nothing answers at http://127.0.0.1:{port}\n  start the system with: agentos start\n"
    )


def test_the_address_is_that_of_the_running_system(
    api: Api, run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AGENTOS_API_URL")
    home = Home(tmp_path)
    home.prepare()
    RunState(1, "ws://x", api.url, {}, 2).save(home)
    api.body = {"status": "healthy"}
    assert run("health") == (0, "● healthy\n", "")


def test_a_message(api: Api, run: Any) -> None:
    api.body = {"content": "hello"}
    assert run("message", "writer", "hi") == (0, "hello\n", "")
    assert run("message", "writer", "hi", "--json") == (0, '{"content": "hello"}\n', "")
    wanted = ("POST", "/api/agents/writer/message", "Bearer the-key", {"message": "hi"})
    assert api.requests == [wanted, wanted]
    api.body = {}
    assert run("message", "writer", "hi") == (0, "(no response)\n", "")


def test_an_id_that_is_none_is_not_sent(api: Api, run: Any) -> None:
    assert run("message", "../x", "hi") == (1, "", "✗ Invalid ID format: ../x\n")
    assert api.requests == []


def test_status_and_health(api: Api, run: Any) -> None:
    api.body = {"status": "healthy", "version": "1.2.3", "workers": 5, "uptime": 61.7}
    code, text, _ = run("status")
    assert code == 0
    assert [line.split(maxsplit=2)[:2] for line in text.splitlines()] == [
        ["●", "agentos"],
        ["workers", "5"],
        ["uptime", "61"],
    ]
    assert json.loads(run("status", "--json")[1]) == api.body
    assert run("health")[1] == "● healthy\n"
    assert json.loads(run("health", "--json")[1]) == api.body


def test_status_with_a_key_that_is_not_accepted(api: Api, run: Any) -> None:
    api.body = {"status": "healthy"}  # what strangers are told
    code, _, error = run("status")
    assert code == 3
    assert "the key was not accepted" in error


def test_a_chat_keeps_its_session(api: Api, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = iter(["one", "", " two ", "quit", "never"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    api.body = {"content": "yes"}
    assert run("chat", "writer") == (0, "agent> yes\nagent> yes\n", "")
    first, second = (sent for _, _, _, sent in api.requests)
    assert (first["message"], second["message"]) == ("one", "two")
    assert first["sessionId"] == second["sessionId"]


def test_a_chat_ends_with_its_input(api: Api, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", end)
    assert run("chat") == (0, "\n", "")
    assert api.requests == []


def test_ctrl_c_is_130(api: Api, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupt)
    assert run("chat")[0] == 130


def test_the_version_and_wrong_usage(run: Any) -> None:
    code, text, _ = run("--version")
    assert (code, text.split()[0]) == (0, "agentos")
    assert run("no-such-command")[0] == 2
    assert run("message", "only-one")[0] == 2
