from __future__ import annotations

import os
import socket

from iii_sdk.metadata import project_name, worker_metadata


def test_the_default_name_is_host_and_pid(monkeypatch):
    monkeypatch.delenv("III_WORKER_NAME", raising=False)
    assert worker_metadata().name == f"{socket.gethostname()}:{os.getpid()}"
    monkeypatch.setenv("III_WORKER_NAME", "from-env")
    assert worker_metadata().name == "from-env"
    assert worker_metadata("given").name == "given"


def test_the_language_has_no_encoding(monkeypatch):
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    assert worker_metadata("x").telemetry.language == "en_US"


def test_the_project_is_named_by_its_file_else_by_its_folder(tmp_path):
    assert project_name(tmp_path) == tmp_path.name
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "demo"\n')
    assert project_name(tmp_path) == "demo"
    (tmp_path / "pyproject.toml").write_text("[tool.x]\n")
    assert project_name(tmp_path) == tmp_path.name
