"""Real Redis, NATS and RabbitMQ servers for tests, each in a folder of its own on a free port.

A server is started as a program and is ready when it has answered a real command. A test may lose
it: `kill` (SIGKILL), `stop` (orderly), `pause` (it hangs: connected, but silent), each followed by
`start` or `resume`. It comes back on the same port and with what it had stored on disk.

The methods block for as long as the program takes (Redis and NATS some ten milliseconds, RabbitMQ
several seconds); in a coroutine use `asyncio.to_thread`.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from abc import ABC, abstractmethod
from collections import deque
from pathlib import Path

from tests.support.waiting import PATIENCE, until_sync

#: Below the range from which systems take the ports of outgoing connections: while a server is
#: down nobody else gets its port, and a client that reconnects cannot connect to itself.
PORTS = range(18000, 31000)
#: So many ports are this process's alone, the latest; other tests look for theirs elsewhere.
KEPT = 400
#: Seconds for one answer while the server is asked whether it is ready.
ANSWER = 2.0


class _Ports:
    """Ports that no other test process gets: of a file that all share, each locks a byte for each.

    The system undoes the locks of a process that ends.
    """

    def __init__(self) -> None:
        path = Path(tempfile.gettempdir()) / f"agentos-test-ports-{os.getuid()}"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._kept: deque[int] = deque()
        self._chance = random.SystemRandom()  # no test's seed makes two choose alike

    def take(self) -> int:
        while True:
            port = self._chance.choice(PORTS)
            if port not in self._kept and self._lock(port):
                break
        self._kept.append(port)
        if len(self._kept) > KEPT:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, self._kept.popleft())
        return port

    def _lock(self, port: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        return True


_ports = _Ports()


def free_port() -> int:
    """A port of the loopback interface that nothing listens on, also while its server is down."""
    while True:
        port = _ports.take()
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def refused(port: int) -> bool:
    """Whether nobody listens on a port of the loopback interface."""
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return True
    return False


class Server(ABC):
    """One server program. `folder` holds everything it writes."""

    #: Seconds until it must have answered.
    patience = PATIENCE

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._runs = 0
        self._paused = False

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients find it."""

    @property
    def pid(self) -> int:
        """Of the running program."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def output(self) -> str:
        """What the latest run wrote to stdout and stderr."""
        return self._log.read_text("utf-8", "replace")

    def start(self) -> None:
        """Start the program, or do nothing if it runs; return when it has answered."""
        if self.running:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._runs += 1
        self._launch()
        until_sync(self._settled, f"{type(self).__name__} answers", self.patience)
        if not self.running:
            raise AssertionError(f"{type(self).__name__} ended: {self.output}")

    def stop(self) -> None:
        """SIGTERM, and wait until it has gone; nothing if it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: what it has not written is lost."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """An orderly stop and a start on the same port."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Let it hang: connections stay, nothing is answered, until `resume`."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)  # until all its threads have
        self._paused = True

    def resume(self) -> None:
        """Undo `pause`."""
        if self._paused:
            os.kill(self.pid, signal.SIGCONT)
            self._paused = False

    def heal(self) -> None:
        """Make it run again, whatever a test has done to it."""
        if self.running:
            self.resume()
        self.start()

    def close(self) -> None:
        """End it if it still runs and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _log(self) -> Path:
        return self.folder / f"output-{self._runs}.log"

    def _launch(self) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self._environment(),
            )

    def _settled(self) -> bool:
        """Whether it answers, or never will."""
        if not self.running:
            return True
        try:
            with socket.create_connection(("127.0.0.1", self.port), ANSWER) as connection:
                connection.settimeout(ANSWER)
                return self._answers(connection)
        except OSError:
            return False

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if self.running:
            self._process.send_signal(number)
            self.resume()  # a stopped process does not hear SIGTERM
        self._paused = False
        self._process.wait(PATIENCE)

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8"}

    @abstractmethod
    def _command(self) -> list[str]:
        """The program and its arguments."""

    @abstractmethod
    def _answers(self, connection: socket.socket) -> bool:
        """Ask a real question over a fresh connection."""


class RedisServer(Server):
    """Redis with an append-only file that is synced at every write, so a kill loses nothing."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _command(self) -> list[str]:
        options = {
            "--port": str(self.port),
            "--bind": "127.0.0.1",
            "--dir": str(self.folder),
            "--appendonly": "yes",
            "--appendfsync": "always",
            "--save": "",
        }
        return ["redis-server", *(part for option in options.items() for part in option)]

    def _answers(self, connection: socket.socket) -> bool:
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")


class NatsServer(Server):
    """NATS with JetStream, stored in its folder. `login` is a user and a password, if it wants one.

    Another `login` counts from the next start.
    """

    login: tuple[str, str] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def _command(self) -> list[str]:
        store = str(self.folder / "jetstream")
        login = ["--user", self.login[0], "--pass", self.login[1]] if self.login else []
        return ["nats-server", "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", store, *login]

    def _answers(self, connection: socket.socket) -> bool:
        info = connection.recv(4096)
        connection.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
        answer = connection.recv(64)
        return b'"jetstream":true' in info and (b"PONG" in answer or b"Authorization" in answer)


class RabbitServer(Server):
    """RabbitMQ as a node of its own.

    Node name, epmd, distribution port, data and cookie are its own too, so that nodes of parallel
    test processes never meet. One starts in several seconds: use the shared one
    (`rabbitmq_server`) and names of your own for queues and exchanges.
    """

    patience = 60.0
    _PROGRAM = "/usr/lib/rabbitmq/bin/rabbitmq-server"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._node = f"test-{uuid.uuid4().hex[:12]}@localhost"
        self._epmd_port = free_port()
        self._dist_port = free_port()
        self._epmd: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def close(self) -> None:
        super().close()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait(PATIENCE)
            self._epmd = None

    def _launch(self) -> None:
        if self._epmd is None:
            # Ours and in the foreground: RabbitMQ would start a daemon that outlives the tests.
            self._epmd = subprocess.Popen(
                ["epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            until_sync(lambda: not refused(self._epmd_port), "epmd listens")
        (self.folder / "plugins").write_text("[].")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\ndisk_free_limit.absolute = 1MB\n"
        )
        super()._launch()

    def _command(self) -> list[str]:
        return [self._PROGRAM]

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        return {
            **super()._environment(),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            # The virtual machine in place of the shell script around it, so that signals reach it.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_START_ARGS": f"-noinput -setcookie {self._node.partition('@')[0]}",
            # The machine is shared, and one test needs little.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }

    def _answers(self, connection: socket.socket) -> bool:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        return connection.recv(64)[:1] == b"\x01"
