"""The home folder."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from agentos.host.home import Home, HomeError
from agentos.host.log_file import open_log


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Home:
    monkeypatch.delenv("AGENTOS_API_KEY", raising=False)
    made = Home(tmp_path / "home")
    made.prepare()
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.promise(
    "Operation",
    "The key of a first start is made once, and only its owner may read it.",
)
def test_the_key_is_made_once_and_only_its_owner_may_read_it(home: Home) -> None:
    key = home.ensure_api_key()
    assert key.startswith("ak_")
    assert home.ensure_api_key() == home.api_key() == key
    assert mode(home.key_file) == 0o600
    assert [file.name for file in home.key_file.parent.iterdir()] == ["api_key"]


def test_an_empty_key_file_says_what_to_do(home: Home) -> None:
    home.key_file.touch()
    with pytest.raises(HomeError, match="api_key is empty: remove it"):
        home.ensure_api_key()
    home.key_file.unlink()
    assert home.ensure_api_key()


def test_a_key_that_cannot_be_written_is_an_error(home: Home) -> None:
    home.key_file.parent.rmdir()
    with pytest.raises(HomeError, match="cannot write"):
        home.ensure_api_key()


def test_what_the_system_writes_is_for_its_owner_only(home: Home) -> None:
    for folder in ("data", "logs", "run", "credentials"):
        assert mode(home.root / folder) == 0o700, folder


def test_logs_are_appended_to_and_for_their_owner_only(home: Home) -> None:
    path = home.logs / "x.log"
    for text in (b"one ", b"two"):
        with open(open_log(path), "ab") as log:
            log.write(text)
    assert path.read_bytes() == b"one two"
    assert mode(path) == 0o600


def test_what_exists_is_not_changed(home: Home) -> None:
    (home.root / "logs").chmod(0o755)
    home.engine_config.write_text("mine")
    home.prepare()
    assert mode(home.root / "logs") == 0o755
    assert home.engine_config.read_text() == "mine"
