"""Webhooks over TLS: the certificate is checked, and the connection goes to what was resolved."""

import datetime as dt
import ipaddress
import socket
import ssl
from pathlib import Path
from urllib.request import Request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from alerts.notifications import egress
from alerts.notifications.egress import Destination
from tests.standins import HTTPStandIn, Reply

OK = Reply(200, b"ok")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 and hooks.slack.test that signs itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("hooks.slack.test")]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "hooks.pem"
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def exchange(server: HTTPStandIn, destination: Destination) -> egress.Answer:
    scheme = "https" if destination.encrypted else "http"
    request = Request(f"{scheme}://{destination.host}:{server.port}/services", data=b"{}", method="POST")  # noqa: S310
    return egress.exchange(request, destination, timeout=5)


def test_an_answer_comes_over_tls_where_the_certificate_is_trusted(
    certificate: Path, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with HTTPStandIn(OK, tls=tls) as server:
        assert exchange(server, Destination("127.0.0.1", server.port, encrypted=True)).body == "ok"


def test_nothing_is_sent_where_the_certificate_is_not_trusted(tls: ssl.SSLContext) -> None:
    with HTTPStandIn(OK, tls=tls) as server:
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            exchange(server, Destination("127.0.0.1", server.port, encrypted=True))
        assert server.asked == []


def test_a_name_is_resolved_once_and_still_checked_against_the_certificate(
    certificate: Path, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setattr(egress, "_is_public", lambda _: True)
    real, resolved = socket.getaddrinfo, []

    def resolve(host: str, port: int, *args: int, **options: int) -> object:
        if not host.endswith(".test"):
            return real(host, port, *args, **options)
        resolved.append(host)
        return real("127.0.0.1", port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with HTTPStandIn(OK, tls=tls) as server:
        assert exchange(server, Destination("hooks.slack.test", server.port, encrypted=True)).status == 200
        assert resolved == ["hooks.slack.test"]
        assert server.asked[0].headers["Host"] == f"hooks.slack.test:{server.port}"
        with pytest.raises(OSError, match="Hostname mismatch"):
            exchange(server, Destination("another.test", server.port, encrypted=True))


def test_an_endless_answer_is_cut() -> None:
    with HTTPStandIn(Reply(200, b"x" * (egress.ANSWER_LIMIT * 3))) as server:
        answer = exchange(server, Destination("127.0.0.1", server.port, encrypted=False))
    assert len(answer.body) == egress.ANSWER_LIMIT


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with HTTPStandIn(OK) as server:
        assert exchange(server, Destination("127.0.0.1", server.port, encrypted=False)).body == "ok"


def test_the_next_address_is_tried_where_one_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Destination, "resolve", lambda _: ["::1", "127.0.0.1"])
    with HTTPStandIn(OK) as server:
        assert exchange(server, Destination("127.0.0.1", server.port, encrypted=False)).body == "ok"
