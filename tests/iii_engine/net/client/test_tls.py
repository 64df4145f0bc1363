"""TLS: the certificate must be the host's, whatever address was connected to."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.support.endpoint import Endpoint, answering

from iii_engine.net.client.dialer import Dialer
from iii_engine.net.client.incoming import RequestFailed, Response
from iii_engine.net.client.pool import Pools
from iii_engine.net.client.security import Security
from iii_engine.net.client.target import Origin

REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


class Local:
    """A loop in which every name is this machine."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    async def getaddrinfo(self, host: str, port: int, **options: Any) -> list[Any]:
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of `good.example`, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "good.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("good.example")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "good.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


async def ask(certificate: Path, host: str, *, trusted: bool = True) -> tuple[Response, list[str]]:
    """Request a name that is served with the certificate; also the names it was asked for by."""
    asked: list[str] = []
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    server.sni_callback = lambda socket, name, context: asked.append(name)
    client = ssl.create_default_context(cafile=str(certificate) if trusted else None)
    loop: Any = Local()
    pools = Pools(Dialer(Security(block_private_ips=False), loop, client), loop)
    async with Endpoint(lambda request: answering(b"1"), tls=server) as endpoint:
        try:
            origin = Origin("https", host, endpoint.port)
            return await pools.send(origin, REQUEST, 5.0, repeatable=False), asked
        finally:
            pools.close()


async def test_the_name_is_checked_and_sent_not_the_address(certificate: Path) -> None:
    response, asked = await ask(certificate, "good.example")
    assert response.body == b"1"
    assert asked == ["good.example"]


async def test_a_certificate_of_another_name_is_refused(certificate: Path) -> None:
    with pytest.raises(RequestFailed, match=r"bad\.example"):
        await ask(certificate, "bad.example")


async def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path) -> None:
    with pytest.raises(RequestFailed, match="TLS"):
        await ask(certificate, "good.example", trusted=False)
