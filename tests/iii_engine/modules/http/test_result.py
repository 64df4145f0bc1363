"""From a handler's result to an answer, without a socket."""

from __future__ import annotations

import pytest
from msgspec import Raw

from iii_engine.modules.http.result import InvalidStatus, header_lines, read_result


@pytest.mark.parametrize("status", ["99", "100", "199", "600", "700", "-1", "200.5", '"200"', "[]"])
def test_status_that_cannot_be_sent(status: str) -> None:
    with pytest.raises(InvalidStatus):
        read_result(Raw(b'{"status_code":%b}' % status.encode()))


def test_null_parts_are_absent() -> None:
    answer = read_result(Raw(b'{"status_code":null,"headers":null,"body":[1]}'))
    assert (answer.status, bytes(answer.body)) == (200, b"[1]")


def test_body_is_not_touched() -> None:
    answer = read_result(Raw(b'{"body": {"a" : 1.50} , "status_code":200}'))
    assert bytes(answer.body) == b'{"a" : 1.50}'
    assert bytes(read_result(Raw(b" [1] ")).body) == b"[1]"


def test_text_with_lone_surrogates_is_sent_with_replacements() -> None:
    answer = read_result(Raw(b'{"headers":{"content-type":"text/plain"},"body":"a\\ud800"}'))
    assert bytes(answer.body) == b"a?"


def test_binary_body() -> None:
    answer = read_result(Raw(b'{"body_base64":"//8="}'))
    assert (answer.body, answer.head) == (
        b"\xff\xff",
        b"content-type: application/octet-stream\r\n",
    )
    assert read_result(Raw(b'{"body_base64":"*"}')).body == b""


def test_header_lines() -> None:
    head, names = header_lines(b'{"X-A":" b ","Content-Length":"5","X-N":7,"bad name":"x"}')
    assert (head, names) == (b"x-a: b\r\n", {"x-a"})
    head, _ = header_lines(b'["Set-Cookie: a=1","Set-Cookie: b:2","nonsense",5]')
    assert head == b"set-cookie: a=1\r\nset-cookie: b:2\r\n"
    for other in (b'"x"', b"5", b"null"):
        assert header_lines(other) == (b"", frozenset())


@pytest.mark.parametrize("value", ["a\\r\\nX-Evil: 1", "a\\nb", "a\\u0000b"])
def test_header_values_cannot_break_out(value: str) -> None:
    assert header_lines(b'{"x":"%b"}' % value.encode())[0] == b""
    assert b"Evil" not in header_lines(b'["x: %b"]' % value.encode())[0]


def test_many_different_headers_do_not_pile_up() -> None:
    for number in range(600):
        header_lines(b'{"x-n":"%d"}' % number)
    assert header_lines(b'{"x-n":"1"}')[0] == b"x-n: 1\r\n"
