"""Signing manifests."""

from __future__ import annotations

import pytest
from tests.support.engine import RunningEngine
from tests.support.served import StandIn, served

from agentos.workers.security.signing import sign, verify
from agentos.workers.security.worker import create
from iii_sdk import Bus, InvalidInput

PRIVATE = bytes(range(1, 33)).hex()
PUBLIC = "79b5562e8fe654f94078b112e8a98ba7901f853ae695bed7e0e3910bad049664"
MANIFEST = {"version": "1.0.0", "name": "my-tool"}
DIGEST = "765b4b0ab9c5d74bad0eb7261b60cda4a01dc00844777c0dc98d9c5460d414e9"
SIGNATURE = (
    "87c6922718b803650e2d26a7ece7ee41c3e5b7adcbfaa23856a770872c1c4b49"
    "4d69b579e00f8dbe30ed4d720448426a097d14adc8fe4e0789420e1a89c4e60f"
)


async def test_security_case_11_known_signature(bus: Bus) -> None:
    signed = await bus.call(
        "security::sign_manifest", {"manifest": MANIFEST, "privateKey": PRIVATE}
    )
    assert signed == {"signature": SIGNATURE, "digest": DIGEST}
    request = {"manifest": MANIFEST, "signature": SIGNATURE, "publicKey": PUBLIC}
    answer = await bus.call("security::verify_manifest", request)
    assert answer == {"valid": True, "digest": DIGEST}


def test_security_case_11_what_does_not_verify() -> None:
    other = sign(MANIFEST, bytes(32).hex()).signature
    flipped = "86" + SIGNATURE[2:]
    assert not verify({**MANIFEST, "version": "2.0.0"}, SIGNATURE, PUBLIC).valid
    assert not verify(MANIFEST, other, PUBLIC).valid
    assert not verify(MANIFEST, flipped, PUBLIC).valid
    assert not verify(MANIFEST, SIGNATURE, "02" * 32).valid


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "privateKey is required"),
        ("aabbccdd", "Private key must be 32 bytes"),
        ("zz" * 32, "privateKey is not valid hex"),
    ],
)
def test_security_case_11_bad_keys(key: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        sign({}, key)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize(
    ("signature", "key", "message"),
    [
        ("", PUBLIC, "signature is required"),
        (SIGNATURE, "", "publicKey is required"),
        ("aa", PUBLIC, "Signature must be 64 bytes"),
        (SIGNATURE, "aa", "Public key must be 32 bytes"),
    ],
)
def test_bad_signatures(signature: str, key: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        verify({}, signature, key)


@pytest.mark.parametrize("manifest", [[1, 2], None, "text", 3.5, {"n": 42.0}])
def test_anything_can_be_signed(manifest: object) -> None:
    assert verify(manifest, sign(manifest, PRIVATE).signature, PUBLIC).valid


async def test_the_key_may_stay_in_the_vault(engine: RunningEngine) -> None:
    vault = StandIn({"vault::get": {"key": "signing", "value": PRIVATE}})
    async with served(engine, vault.worker, create()) as bus:
        signed = await bus.call(
            "security::sign_manifest", {"manifest": MANIFEST, "privateKey": "vault:signing"}
        )
    assert signed["signature"] == SIGNATURE
    assert vault.asked("vault::get")[0]["key"] == "signing"
