"""HTTP-invoked functions as published programs register them, with their client and with ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.support.engine import EngineProcess

PROGRAM = """
import json, sys
from {package} import HttpInvocationConfig, register_worker

iii = register_worker(sys.argv[1])
config = HttpInvocationConfig(
    url=sys.argv[2], method="POST", timeout_ms=5000, headers={{"X-Mine": "yes"}}
)
function = iii.register_function("ext::mirror", config)
print(json.dumps(iii.trigger({{"function_id": "ext::mirror", "payload": {{"n": 1}}}})))
function.unregister()
try:
    iii.trigger({{"function_id": "ext::mirror", "payload": {{}}}})
except Exception as error:
    print(json.dumps(error.code))
iii.shutdown()
"""


class Mirror(BaseHTTPRequestHandler):
    """Answers the body and one header it got."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps({"got": body, "mine": self.headers["X-Mine"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *values: object) -> None:
        pass


@pytest.fixture
def mirror() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("package", ["iii", "iii_sdk"])
def test_a_published_program_registers_an_endpoint(
    package: str, engine_process: EngineProcess, mirror: str
) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("III_", "OTEL_"))}
    environment["III_URL"] = engine_process.url
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(package=package), engine_process.url, mirror],
        capture_output=True,
        text=True,
        timeout=30,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines == [{"got": {"n": 1}, "mine": "yes"}, "function_not_found"]
