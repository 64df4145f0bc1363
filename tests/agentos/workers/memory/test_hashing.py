"""Digests and the hash embedding."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from agentos.workers.memory.hashing import content_hash, hash_embed, word_hash
from agentos.workers.memory.scoring import cosine


def test_memory_case_2_content_hashes() -> None:
    assert content_hash("test content") == (
        "6ae8a75555209fd6c44157c0aed8016e763ff435a19cf186f76863140143ff72"
    )
    assert content_hash("").startswith("e3b0c442")
    assert content_hash("").endswith("b855")


def test_memory_case_18_known_vector() -> None:
    vector = hash_embed("hello world")
    assert len(vector) == 128
    assert math.hypot(*vector) == pytest.approx(1, abs=1e-9)
    assert [round(x, 6) for x in vector[:4]] == [-0.078019, 0.019957, 0.097707, -0.105157]
    again = hash_embed("hello world again")
    assert cosine(vector, again) == pytest.approx(0.8146, abs=1e-4)


def test_memory_case_18_the_same_in_another_process() -> None:
    code = "from agentos.workers.memory.hashing import *; print(hash_embed('hello world'))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert output.decode().strip() == str(hash_embed("hello world"))


def test_word_hashes() -> None:
    assert (word_hash("hello"), word_hash("world")) == (99162322, 113318802)
    assert word_hash("") == 0
    assert word_hash("a" * 50) < 2**31


@pytest.mark.parametrize("text", ["Hello World", "hello   world", "hello\tworld", "world hello"])
def test_case_blanks_and_order_do_not_matter(text: str) -> None:
    assert hash_embed(text) == pytest.approx(hash_embed("hello world"), abs=1e-9)


@pytest.mark.parametrize("text", ["", "   \t\n"])
def test_no_words_no_direction(text: str) -> None:
    assert hash_embed(text) == [0.0] * 128


@pytest.mark.parametrize(
    "text", ["x" * 10_000, "👩‍🚀 rocket", "你好 世界", "مرحبا", "a\0b", "\ud800"]
)
def test_any_text_has_a_unit_vector(text: str) -> None:
    assert math.hypot(*hash_embed(text)) == pytest.approx(1)
    assert len(content_hash(text)) == 64


def test_other_dimensions() -> None:
    assert hash_embed("word", 0) == []
    assert len(hash_embed("word", 7)) == 7
