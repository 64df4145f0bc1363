"""The CLI's side of the REST API: one request, one answer, errors as exit codes."""

from __future__ import annotations

import http.client
import json
import os
import re
import urllib.parse
from dataclasses import dataclass

from agentos.host.home import Home
from agentos.host.state import read_run_state

DEFAULT_URL = "http://localhost:3111"
PLAIN_SECONDS = 10.0
CHAT_SECONDS = 180.0

_ID = re.compile(r"[\w\-:.]{1,256}")


class CommandError(Exception):
    """Ends the command with this text on stderr and this exit code."""

    def __init__(self, text: str, code: int = 1, hint: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.hint = hint


@dataclass
class Client:
    """Talks to the API of the running system with the key of this home."""

    base: str
    key: str | None

    @classmethod
    def from_home(cls, home: Home) -> Client:
        """The address is `AGENTOS_API_URL`, else that of the system that runs from this home."""
        running = read_run_state(home)
        found = running.api_url if running else DEFAULT_URL
        return cls(os.environ.get("AGENTOS_API_URL") or found, home.api_key())

    def request(
        self, method: str, path: str, body: object = None, timeout: float = PLAIN_SECONDS
    ) -> object:
        """The decoded body of a 2xx answer; anything else raises `CommandError`."""
        status, text = self._exchange(method, path, body, timeout)
        try:
            value: object = json.loads(text) if text else None
        except ValueError:
            value = text
        if status >= 300:
            code = {400: 2, 401: 3, 403: 3, 404: 4}.get(status, 1)
            raise CommandError(f"{_error_text(value)} ({status})", code)
        return value

    def _exchange(self, method: str, path: str, body: object, timeout: float) -> tuple[int, str]:
        parts = urllib.parse.urlsplit(self.base)
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        connection = kind(parts.hostname or "localhost", parts.port, timeout=timeout)
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        data = None if body is None else json.dumps(body)
        try:
            connection.request(method, parts.path.rstrip("/") + path, data, headers)
            response = connection.getresponse()
            return response.status, response.read().decode("utf-8", "replace")
        except ConnectionRefusedError:
            raise CommandError(
                f"nothing answers at {self.base}", 5, "start the system with: agentos start"
            ) from None
        except TimeoutError:
            raise CommandError(f"no answer from {self.base} within {timeout:g} s") from None
        except OSError as error:
            raise CommandError(f"cannot reach {self.base}: {error}", 5) from None
        finally:
            connection.close()


def path_id(text: str) -> str:
    """An id as part of a path; a bad one ends the command."""
    if not _ID.fullmatch(text):
        raise CommandError(f"Invalid ID format: {text}")
    return urllib.parse.quote(text, safe="")


def _error_text(value: object) -> str:
    if isinstance(value, dict):
        error = value.get("error")
        if isinstance(error, dict):
            error = error.get("message")
        if isinstance(error, str):
            return error
    return str(value) if value else "the server gave no reason"
