"""The key of the audit chain."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from agentos.workers.security.audit_key import audit_key, key_file
from iii_sdk import NotConfigured


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, audit_hmac_key: None) -> Path:
    monkeypatch.delenv("AUDIT_HMAC_KEY")
    monkeypatch.setenv("AGENTOS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_environment_goes_first(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("AUDIT_HMAC_KEY", "schlüssel")
    assert audit_key() == "schlüssel".encode()
    assert not home.exists()


def test_a_random_key_is_made_once(home: Path) -> None:
    key = audit_key()
    path = home / "data" / "audit.key"
    assert path == key_file()
    assert len(key) == 32
    assert path.read_bytes() == key == audit_key()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["audit.key"]


def test_an_empty_key_is_refused(home: Path) -> None:
    key_file().parent.mkdir(parents=True)
    key_file().touch()
    with pytest.raises(NotConfigured, match="too short"):
        audit_key()


def test_a_home_that_is_no_folder_is_an_error(home: Path) -> None:
    home.touch()
    with pytest.raises(NotConfigured, match="AUDIT_HMAC_KEY"):
        audit_key()
