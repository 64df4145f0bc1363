"""Ed25519 signatures over the SHA-256 digest of canonical JSON."""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import Struct

from agentos.workers.security.canonical import canonical_json
from iii_sdk import Bus, InvalidInput, UpstreamError

#: A private key of this form is a name in the vault, so that the key itself never travels.
VAULT = "vault:"


class SignManifest(Struct, rename="camel"):
    """`private_key`: 64 hex digits, or `vault:<key name>`."""

    manifest: object = msgspec.field(default_factory=dict)
    private_key: str = ""


class Signed(Struct):
    """Lower-case hex: 64 bytes of signature, 32 of digest."""

    signature: str
    digest: str


class VerifyManifest(Struct, rename="camel"):
    """`signature`: 128 hex digits; `public_key`: 64."""

    manifest: object = msgspec.field(default_factory=dict)
    signature: str = ""
    public_key: str = ""


class Verified(Struct):
    """`digest` is that of the manifest given, in hex."""

    valid: bool
    digest: str


class Secret(Struct):
    """What the vault answers."""

    value: str


def _bytes_of(text: str, field: str, label: str, size: int) -> bytes:
    """The bytes of a hex text; the value itself never appears in an error."""
    if not text:
        raise InvalidInput(f"{field} is required")
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raise InvalidInput(f"{field} is not valid hex") from None
    if len(raw) != size:
        raise InvalidInput(f"{label} must be {size} bytes")
    return raw


def digest_of(manifest: object) -> bytes:
    """SHA-256 of the canonical manifest."""
    return hashlib.sha256(canonical_json(manifest)).digest()


def sign(manifest: object, private_key: str) -> Signed:
    """Sign with a key in hex; the same input gives the same signature."""
    seed = _bytes_of(private_key, "privateKey", "Private key", 32)
    # Imported here: the library weighs several MB, and most processes never sign.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    digest = digest_of(manifest)
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(digest)
    return Signed(signature.hex(), digest.hex())


def verify(manifest: object, signature: str, public_key: str) -> Verified:
    """Whether the signature is of this manifest and key."""
    signed = _bytes_of(signature, "signature", "Signature", 64)
    point = _bytes_of(public_key, "publicKey", "Public key", 32)
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    digest = digest_of(manifest)
    try:
        Ed25519PublicKey.from_public_bytes(point).verify(signed, digest)
    except (InvalidSignature, ValueError):  # ValueError: 32 bytes that are no point of the curve
        return Verified(False, digest.hex())
    return Verified(True, digest.hex())


async def sign_manifest(request: SignManifest, bus: Bus) -> Signed:
    """Sign a manifest with Ed25519."""
    private_key = request.private_key
    if private_key.startswith(VAULT):
        name = private_key.removeprefix(VAULT)
        secret = await bus.call("vault::get", {"key": name}, kind=Secret)
        if not secret.value:
            raise UpstreamError(f"the vault has no value for {name}")
        private_key = secret.value
    return sign(request.manifest, private_key)


async def verify_manifest(request: VerifyManifest) -> Verified:
    """Check an Ed25519 signature of a manifest."""
    return verify(request.manifest, request.signature, request.public_key)
