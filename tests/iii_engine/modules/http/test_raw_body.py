"""`raw_body: true`: webhooks check a signature over the bytes that were sent, whatever they are."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
from typing import Any

import pytest

SECRET = b"whsec"
JSON = "content-type: application/json\r\n"

#: What is sent, its headers, and whether the handler gets it parsed too.
BODIES = {
    "odd white space": (b' {\t"a" :1.0 ,\r\n "a":[ ]  }\n\n', JSON, True),
    "escapes as they were": (b'{"b":"\\u00e9\\/\xc3\xa9\\ud83d\\ude00"}', JSON, True),
    "numbers as they were": (b"[1e0, 10000000000000000000000.50]", JSON, True),
    "a form": (b"a=1&b=%20+&a", "content-type: application/x-www-form-urlencoded\r\n", False),
    "no text": (bytes(range(256)), "content-type: application/octet-stream\r\n", False),
    "no type": (b"\xff\xfe{}", "", False),
    "compressed": (gzip.compress(b'{"a":1}'), JSON + "content-encoding: gzip\r\n", False),
    "not compressed": (b'{"a": 1}', JSON + "content-encoding: identity\r\n", True),
    "nothing": (b"", JSON, False),
}


def sent(path: str, body: bytes, headers: str, *, chunked: bool) -> bytes:
    framing = f"content-length: {len(body)}\r\n"
    if chunked:
        framing = "transfer-encoding: chunked\r\n"
        pieces = [body[at : at + 3] for at in range(0, len(body), 3)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}{framing}\r\n"
    return head.encode() + body


def signed(body: bytes) -> str:
    return hmac.new(SECRET, body, hashlib.sha256).hexdigest()


def received(payload: dict[str, Any]) -> bytes:
    """The bytes as a worker takes them out of a payload."""
    if "raw_body" in payload:
        assert "raw_body_base64" not in payload
        return bytes(payload["raw_body"].encode("utf-8"))
    return base64.b64decode(payload["raw_body_base64"], validate=True)


@pytest.mark.parametrize("chunked", [False, True], ids=["counted", "chunked"])
@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("form", ["request", "flat"])
async def test_modules_case_53_a_signature_over_the_exact_bytes(
    site: Any, form: str, name: str, chunked: bool
) -> None:
    body, headers, parsed = BODIES[name]
    site.function("h", 1)
    site.route("/hook", "h", "POST", raw_body=True, input=form)
    signature = f"x-signature: {signed(body)}\r\n"
    answer = await site.raw(sent("/hook", body, headers + signature, chunked=chunked))
    assert answer.startswith(b"HTTP/1.1 200 ")
    (payload,) = site.seen["h"]
    envelope = payload["_http"] if form == "flat" else payload
    assert signed(received(payload)) == envelope["headers"]["x-signature"]
    if form == "request":
        assert (payload["body"] is not None) is parsed


async def test_a_client_cannot_give_other_bytes_for_its_body(site: Any) -> None:
    site.function("h", 1)
    site.route("/hook", "h", "POST", raw_body=True, input="flat")
    body = b'{"raw_body":"other","raw_body_base64":"b3RoZXI=","a":1}'
    answer = await site.raw(sent("/hook?raw_body=other", body, JSON, chunked=False))
    assert answer.startswith(b"HTTP/1.1 200 ")
    (payload,) = site.seen["h"]
    assert received(payload) == body
    assert payload["a"] == 1


async def test_bytes_are_not_told_unless_asked_for(site: Any) -> None:
    site.function("h", 1)
    site.route("/a", "h", "POST")
    await site.client.post("/a", json={"a": 1})
    assert not {"raw_body", "raw_body_base64"} & set(site.seen["h"][0])


async def test_compressed_json_is_refused_where_nobody_asks_for_its_bytes(site: Any) -> None:
    site.function("h", 1)
    site.route("/a", "h", "POST")
    packed = gzip.compress(b"{}")
    answer = await site.raw(sent("/a", packed, JSON + "content-encoding: gzip\r\n", chunked=False))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert site.seen["h"] == []
