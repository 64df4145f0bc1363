"""Globs of `watch`, and the files they find."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from iii_engine.modules.exec import tree
from iii_engine.modules.exec.patterns import read_patterns, without_braces
from iii_engine.modules.exec.tree import snapshot
from iii_sdk.errors import BusError

FILES = (
    "a.py",
    "src/a.ts",
    "src/b.js",
    "src/c.tsx",
    "src/deep/er/d.ts",
    "src/deep/er/README",
    "src/.hidden.ts",
    "src/.cache/e.ts",
    "src/node_modules/x/f.ts",
    "src/__pycache__/g.ts",
    ".git/config.ts",
    "conf/one.json",
    "conf/two.json",
    "conf/sub/three.json",
    "conf/t[o]p.json",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def found(folder: Path, *globs: str) -> list[str]:
    patterns = read_patterns(f"{folder}/{glob}" for glob in globs)
    paths = snapshot(patterns, lambda: False)
    return sorted(os.path.relpath(path, folder) for path in paths)


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("src/**/*.{ts,js}", ["src/a.ts", "src/b.js", "src/deep/er/d.ts"]),
        ("src/**/*.ts", ["src/a.ts", "src/deep/er/d.ts"]),
        ("src/*.ts", ["src/a.ts"]),
        ("conf/*.json", ["conf/one.json", "conf/t[o]p.json", "conf/two.json"]),
        ("conf/t*.json", ["conf/t[o]p.json", "conf/two.json"]),
        ("conf/???.json", ["conf/one.json", "conf/two.json"]),
        ("conf/[a-p]*.json", ["conf/one.json"]),
        ("conf/[!a-p]*.json", ["conf/t[o]p.json", "conf/two.json"]),
        ("conf/t[[]o]p.json", ["conf/t[o]p.json"]),
        ("conf/**", ["conf/one.json", "conf/sub/three.json", "conf/t[o]p.json", "conf/two.json"]),
        ("**/er/*", ["src/deep/er/README", "src/deep/er/d.ts"]),
        ("src/**/deep/**/*.ts", ["src/deep/er/d.ts"]),
        ("src/**/.*.ts", ["src/.hidden.ts"]),
        ("src/.cache/*.ts", ["src/.cache/e.ts"]),
        ("src/node_modules/**/*.ts", ["src/node_modules/x/f.ts"]),
        (".git/*", [".git/config.ts"]),
        ("a.py", ["a.py"]),
        ("./src//a.ts", ["src/a.ts"]),
        ("{src/{a,z},conf/one}.{ts,json}", ["conf/one.json", "src/a.ts"]),
        ("nowhere/**/*.ts", []),
        ("a.py/*", []),
    ],
)
def test_a_glob_finds_its_files(folder: Path, glob: str, expected: list[str]) -> None:
    assert found(folder, glob) == expected


def test_globs_add_up_and_each_file_is_found_once(folder: Path) -> None:
    assert found(folder, "src/*.ts", "src/**/*.ts", "a.py") == [
        "a.py",
        "src/a.ts",
        "src/deep/er/d.ts",
    ]


def test_relative_globs_start_where_the_engine_does(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert set(snapshot(read_patterns(["src/*.ts", "*.py"]), lambda: False)) == {
        "src/a.ts",
        "./a.py",
    }


def test_circles_of_links_are_not_walked_but_linked_files_are_seen(folder: Path) -> None:
    (folder / "src/loop").symlink_to(folder / "src")
    (folder / "src/linked.ts").symlink_to(folder / "a.py")
    (folder / "src/broken.ts").symlink_to(folder / "gone")
    assert found(folder, "src/**/*.ts") == ["src/a.ts", "src/deep/er/d.ts", "src/linked.ts"]


def test_a_tree_without_bounds_is_watched_in_part(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tree, "MAX_FILES", 2)
    assert len(found(folder, "**/*")) == 2
    assert "more than 2 files match" in caplog.text


def test_a_walk_ends_when_it_is_told_to(folder: Path) -> None:
    assert snapshot(read_patterns([f"{folder}/**"]), lambda: True) == {}


def test_only_directories_where_something_can_match_are_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    scan = os.scandir

    def scandir(path: str) -> object:
        read.append(os.path.relpath(path, folder))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found(folder, "conf/*.json", "src/*/er/*.ts")
    assert sorted(read) == ["conf", "src", "src/deep", "src/deep/er"]


@pytest.mark.parametrize("glob", ["", "/", "{a,}", "./"])
def test_a_glob_that_names_no_file_is_refused(glob: str) -> None:
    with pytest.raises(BusError, match=r"config\.watch\[1\]: a glob must name files"):
        read_patterns(["ok", glob])


def test_braces_that_explode_are_refused() -> None:
    with pytest.raises(BusError, match=r"config\.watch\[0\]: .* more than 256 alternatives"):
        read_patterns(["{a,b}" * 30])


def test_braces_without_a_partner_are_plain_characters() -> None:
    assert without_braces("a{b") == ["a{b"]
    assert without_braces("a}b{c,d}") == ["a}bc", "a}bd"]
