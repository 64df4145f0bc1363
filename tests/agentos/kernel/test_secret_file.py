"""Files with a secret."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from agentos.kernel import secret_file
from agentos.kernel.secret_file import write_secret


def test_a_secret_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert write_secret(path, b"first")
    assert not write_secret(path, b"second")
    assert path.read_bytes() == b"first"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(secret_file.os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write_secret(tmp_path / "key", b"x")
    assert list(tmp_path.iterdir()) == []
