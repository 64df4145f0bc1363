from __future__ import annotations

import io

import pytest

from iii_engine.cli.payload import PayloadError, make_payload


@pytest.mark.parametrize(
    ("text", "words", "payload"),
    [
        (None, [], {}),
        ('{"a": 1}', [], {"a": 1}),
        ("[1]", [], [1]),
        ("null", [], None),
        (
            None,
            ["n=10", "s=hi", "a=[1]", "t=true", "e=", "x=a=b"],
            {
                "n": 10,
                "s": "hi",
                "a": [1],
                "t": True,
                "e": "",
                "x": "a=b",
            },
        ),
        ('{"a": {"b": 1}, "c": 2}', ["a=3"], {"a": 3, "c": 2}),
    ],
)
def test_payloads(text: str | None, words: list[str], payload: object) -> None:
    assert make_payload(text, words) == payload


def test_dash_reads_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"a": 1}'))
    assert make_payload("-", ["b=2"]) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "words", "reason"),
    [
        ("{", [], "Invalid JSON payload: Expecting property name"),
        ("[1]", ["a=1"], "Invalid JSON payload: with key=value it must be an object"),
        (None, ["x"], "expected key=value, got `x`"),
        (None, ["=x"], "expected key=value, got `=x`"),
    ],
)
def test_what_cannot_be_read(text: str | None, words: list[str], reason: str) -> None:
    with pytest.raises(PayloadError) as caught:
        make_payload(text, words)
    assert str(caught.value).startswith(reason)
