"""Pushes of Google Pub/Sub at the hook: real keys, real signatures, and a real server that publishes the keys."""

import base64
import hashlib
import hmac
import json
import logging
import re
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from alerts import tasks
from alerts.models import Alert, Batch, Cluster
from alerts.services import inbox, intake, signing_keys
from tests.conftest import DATA
from tests.standins import HTTPStandIn, Reply

PUSH = (DATA / "audit/envelopes/gke-pubsub-push.json").read_bytes()
MAIL = "rolecall-push@p-1.iam.gserviceaccount.com"
GOOGLE = rsa.generate_private_key(65537, 2048)
NOW = time.time()
NEXT = rsa.generate_private_key(65537, 2048)
WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505  it has to be too short
STRANGER = rsa.generate_private_key(65537, 2048)


class Clock:
    """Time that passes when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def published(**keys: RSAPrivateKey) -> Reply:
    found = [
        jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": name, "alg": "RS256", "use": "sig"}
        for name, key in keys.items()
    ]
    return Reply(200, json.dumps({"keys": found}).encode(), {"Content-Type": "application/json"})


@pytest.fixture
def signer(settings: Settings) -> Iterator[HTTPStandIn]:
    with HTTPStandIn(published(current=GOOGLE)) as server:
        settings.HOOK_JWKS_URL = f"{server.url}/oauth2/v3/certs"
        settings.PUBLIC_URL = "https://rolecall.example"
        yield server


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(signing_keys, "_keyring", signing_keys.Keyring(clock))
    return clock


@pytest.fixture
def gke(cluster: Cluster, signer: HTTPStandIn, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster whose pushes are accepted."""
    monkeypatch.setattr(tasks, "announce_batch", lambda: None)
    cluster.push_account = MAIL
    cluster.save()
    return cluster


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    found = {
        "aud": "https://rolecall.example/hook/prod-eu",
        "azp": "113774264463038321964",
        "email": MAIL,
        "email_verified": True,
        "exp": now + 3600,
        "iat": now,
        "iss": "https://accounts.google.com",
        "sub": "113774264463038321964",
    } | changes
    return {name: value for name, value in found.items() if value is not None}


def signed(key: Any = GOOGLE, *, algorithm: str = "RS256", kid: str | None = "current", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers={"kid": kid} if kid else None)


def part(content: Any) -> str:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def forged(header: dict[str, Any], signature: bytes = b"") -> str:
    """A token put together by hand, as no library would make it."""
    return f"{part(header)}.{part(claims())}.{part(signature)}"


def public_key_as_secret() -> str:
    """HS256 with the signer's public key as the secret, which everybody has."""
    pem = GOOGLE.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    content = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'current'})}.{part(claims())}"
    return f"{content}.{part(hmac.digest(pem, content.encode(), hashlib.sha256))}"


def push(token: str, name: str = "prod-eu", body: bytes = PUSH) -> Any:
    client = Client(headers={"Authorization": f"Bearer {token}"})
    return client.post(f"/hook/{name}", body, content_type="application/json")


def settle() -> None:
    """Wait until the keys that are being fetched are here, or known not to be had."""
    if fetching := signing_keys._keyring.fetching:
        fetching.join(20)
        assert not fetching.is_alive()


def push_again(token: str) -> Any:
    """Push as Pub/Sub does: what is answered 503 comes again."""
    answer = push(token)
    settle()
    return push(token) if answer.status_code == 503 else answer


def test_a_push_that_google_signed_ends_in_an_alert(gke: Cluster) -> None:
    answer = push_again(signed())
    assert (answer.status_code, answer.content) == (200, b"")
    assert inbox.body(Batch.objects.get()) == PUSH
    for batch in inbox.claim(1):
        assert intake.examine(batch).error == ""
    assert Alert.objects.get().title == "ClusterRole metrics-scraper-v2 created"


def test_until_the_keys_are_here_a_push_is_to_be_sent_again(gke: Cluster) -> None:
    answer = push(signed())
    assert (answer.status_code, answer["Retry-After"]) == (503, "3")
    assert not Batch.objects.exists()
    settle()
    assert push(signed()).status_code == 200


def test_the_token_of_the_hook_is_accepted_beside_it_and_asks_nobody(gke: Cluster, signer: HTTPStandIn) -> None:
    token = gke.issue_hook_token()
    gke.save()
    assert push(token).status_code == 200
    assert not signer.asked


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"aud": "https://rolecall.example/hook/prod-us"}, "another audience"),
        ({"aud": "https://rolecall.example/hook/prod-eu/"}, "another audience"),
        ({"aud": "https://rolecall.example"}, "another audience"),
        ({"aud": ["https://rolecall.example/hook/prod-eu"]}, "another audience"),
        ({"aud": None}, "does not say"),
        ({"iss": "https://accounts.google.com.example"}, "did not issue"),
        ({"iss": None}, "does not say"),
        ({"exp": NOW - 3600}, "expired"),
        ({"exp": None}, "does not say"),
        ({"exp": "soon"}, "JWT of this kind"),
        ({"iat": NOW + 3600}, "not valid yet"),
        ({"nbf": NOW + 3600}, "not valid yet"),
        ({"iat": None}, "does not say"),
        ({"email": "somebody@p-2.iam.gserviceaccount.com"}, "signed for somebody@p-2"),
        ({"email": MAIL.upper()}, "signed for ROLECALL"),
        ({"email": f"{MAIL} "}, "signed for"),
        ({"email": [MAIL]}, "signed for"),
        ({"email": None}, "signed for None"),
        ({"email_verified": False}, "not verified"),
        ({"email_verified": "true"}, "not verified"),
        ({"email_verified": 1}, "not verified"),
        ({"email_verified": None}, "not verified"),
    ],
    # Every process that runs tests has another now.
    ids=lambda value: re.sub(r"\d{10}[.\d]*", "TIME", str(value)),
)
def test_what_google_signed_for_something_else_is_refused(
    gke: Cluster, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], why: str
) -> None:
    token = signed(**changes)
    refused(push_again(token))
    said(caplog, why, token)


def refused(answer: Any) -> None:
    """It is the answer to a wrong hook token, to the letter: nothing tells one from the other."""
    assert (answer.status_code, answer.content, answer["WWW-Authenticate"]) == (401, b"", "Bearer")
    assert dict(answer.headers) == dict(push("guess").headers)
    assert not Batch.objects.exists()


def said(caplog: pytest.LogCaptureFixture, why: str, token: str) -> None:
    assert why in caplog.text
    assert "prod-eu" in caplog.text
    assert not any(part in caplog.text for part in token.split(".") if len(part) > 10)


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (forged({"alg": "none", "kid": "current"}), "not signed by a named RS256 key"),
        (forged({"alg": "NONE", "kid": "current"}), "not signed by a named RS256 key"),
        (forged({"kid": "current"}), "not a"),
        (public_key_as_secret(), "not signed by a named RS256 key"),
        (signed("secret" * 8, algorithm="HS256"), "not signed by a named RS256 key"),
        (signed(GOOGLE, algorithm="RS512"), "not signed by a named RS256 key"),
        (signed(GOOGLE, algorithm="PS256"), "not signed by a named RS256 key"),
        (signed(ec.generate_private_key(ec.SECP256R1()), algorithm="ES256"), "not signed by a named RS256 key"),
        (signed(STRANGER), "signature is wrong"),
        (signed(STRANGER, kid="stranger"), "no key of the name"),
        (signed(kid="Current"), "no key of the name"),
        (signed(kid=None), "not signed by a named RS256 key"),
        (forged({"alg": "RS256", "kid": 7}, b"0" * 256), "not a JWT"),
        (forged({"alg": "RS256", "kid": "current"}), "signature is wrong"),
        (forged({"alg": "RS256", "kid": "current", "crit": ["exp"]}, b"0" * 256), "not a JWT"),
        (forged({"alg": "RS256", "kid": "current", "b64": False, "crit": ["b64"]}, b"0" * 256), "not"),
        (f"{part({'alg': 'RS256', 'kid': 'current'})}.{part(b'[' * 3000)}.{part(b'0' * 256)}", "signature is wrong"),
        (f"{part(b'[' * 3000)}.{part({})}.{part(b'0')}", "not a JWT"),
        ("a.b.c", "not a JWT"),
        ("..", "not a JWT"),
        ("no token at all", "not a JWT"),
        ("é.é.é", "not a JWT"),
        ("x" * 100_000, "too long"),
        (signed(padding="x" * 20_000), "too long"),
    ],
    ids=lambda value: value[:30],
)
def test_a_hostile_token_is_refused(gke: Cluster, caplog: pytest.LogCaptureFixture, token: str, why: str) -> None:
    refused(push_again(token))
    said(caplog, why, token)
    assert push_again(signed()).status_code == 200


def test_a_changed_claim_breaks_the_signature(gke: Cluster) -> None:
    header, _, signature = signed(email="somebody@p-2.iam.gserviceaccount.com").split(".")
    refused(push_again(f"{header}.{part(claims())}.{signature}"))


def test_clocks_may_differ_a_little(gke: Cluster) -> None:
    assert push_again(signed(exp=time.time() - 10, iat=time.time() - 3610)).status_code == 200
    assert push(signed(iat=time.time() + 10), body=b"another").status_code == 200


def test_the_push_of_one_cluster_is_none_of_another(gke: Cluster) -> None:
    other = Cluster(name="prod-us", push_account=MAIL)
    other.issue_hook_token()
    other.save()
    assert push_again(signed()).status_code == 200
    assert push(signed(), name="prod-us").status_code == 401
    assert push(signed(aud="https://rolecall.example/hook/prod-us"), name="prod-us").status_code == 200


@pytest.mark.parametrize("off", ["HOOK_JWKS_URL", "push_account", "cluster"])
def test_where_nobody_turned_it_on_nothing_is_asked_and_all_is_as_ever(
    gke: Cluster, signer: HTTPStandIn, settings: Settings, off: str
) -> None:
    if off == "HOOK_JWKS_URL":
        settings.HOOK_JWKS_URL = ""
    gke.push_account = "" if off == "push_account" else MAIL
    gke.save()
    answer = push(signed(), name="elsewhere" if off == "cluster" else "prod-eu")
    assert answer.status_code == (404 if off == "cluster" else 401)
    assert signing_keys._keyring.fetching is None
    assert not signer.asked


def test_an_account_without_an_address_is_nobody_s(gke: Cluster) -> None:
    gke.push_account = ""
    gke.save()
    assert push_again(signed(email="")).status_code == 401


def test_unknown_keys_have_us_ask_once_a_minute_and_hold_nothing_up(
    gke: Cluster, signer: HTTPStandIn, clock: Clock
) -> None:
    assert push_again(signed()).status_code == 200
    for number in range(20):
        assert push(signed(STRANGER, kid=f"key-{number}")).status_code == 401
    assert len(signer.asked) == 1
    clock.now += signing_keys.PAUSE
    signer.replies = [Reply(hangs=True)]
    assert push(signed(STRANGER, kid="another")).status_code == 503
    # While the signer lets us wait for its answer, all else goes on.
    for number in range(20):
        assert push(signed(), body=str(number).encode()).status_code == 200
        assert push(signed(STRANGER, kid=f"key-{number}")).status_code == 503
    signer.stopped.set()
    settle()
    assert len(signer.asked) == 2


def test_a_new_key_is_found_and_one_that_was_withdrawn_is_forgotten(
    gke: Cluster, signer: HTTPStandIn, clock: Clock
) -> None:
    assert push_again(signed()).status_code == 200
    signer.replies = [published(next=NEXT)]
    assert push(signed(NEXT, kid="next")).status_code == 401
    clock.now += signing_keys.PAUSE
    assert push_again(signed(NEXT, kid="next")).status_code == 200
    assert push(signed()).status_code == 401


def test_keys_are_fetched_anew_every_hour_and_kept_for_a_day_where_that_fails(
    gke: Cluster, signer: HTTPStandIn, clock: Clock
) -> None:
    assert push_again(signed()).status_code == 200
    signer.replies = [Reply(500)]
    clock.now += signing_keys.FRESH + 1
    assert push(signed()).status_code == 200
    settle()
    assert len(signer.asked) == 2
    assert push(signed()).status_code == 200
    assert push(signed(NEXT, kid="next")).status_code == 503
    clock.now += signing_keys.USABLE
    assert push(signed()).status_code == 503
    settle()
    signer.replies = [published(current=GOOGLE)]
    clock.now += signing_keys.PAUSE
    assert push_again(signed()).status_code == 200


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500),
        Reply(404, published(current=GOOGLE).body),
        Reply(302, b"", {"Location": "http://127.0.0.1:1/"}),
        Reply(200, b""),
        Reply(200, b"<html>"),
        Reply(200, b"[]"),
        Reply(200, b"null"),
        Reply(200, b"[" * 60_000),
        Reply(200, b'{"keys": 7}'),
        Reply(200, b'{"keys": [7, {"kty": "RSA"}, {"kty": "RSA", "n": 1, "e": []}, {"kty": []}]}'),
        Reply(200, b'{"keys": [{"kty": "oct", "kid": "current", "alg": "HS256", "k": "c2VjcmV0"}]}'),
        Reply(200, published(current=GOOGLE).body.replace(b'"use": "sig"', b'"use": "enc"')),
        Reply(200, published(current=GOOGLE).body.replace(b"RS256", b"RS512")),
        Reply(200, published(current=WEAK).body),
        Reply(200, b" " * 200_000 + published(current=GOOGLE).body),
    ],
    ids=lambda reply: f"{reply.status} {reply.body[:40]!r}",
)
def test_where_no_keys_can_be_had_a_push_is_to_be_sent_again(
    gke: Cluster, signer: HTTPStandIn, clock: Clock, caplog: pytest.LogCaptureFixture, reply: Reply
) -> None:
    signer.replies = [reply]
    for _ in range(3):
        answer = push(signed())
        settle()
        assert (answer.status_code, answer["Retry-After"]) == (503, "3")
    assert len(signer.asked) == 1
    assert "could not be had" in caplog.text
    assert not Batch.objects.exists()
    signer.replies = [published(current=GOOGLE)]
    clock.now += signing_keys.PAUSE
    assert push_again(signed()).status_code == 200


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:1/certs", "refused"),
        ("http://signer.example/certs", "must begin with https://"),
        ("https://localhost/certs", "not public"),
        ("https://user:secret@127.0.0.1/certs", "no user name"),
        ("file:///etc/passwd", "https://"),
        ("nonsense", "https://"),
        ("https://[certs", "could not be had"),
    ],
)
def test_keys_are_fetched_from_no_address_that_requests_may_not_go_to(
    gke: Cluster, settings: Settings, caplog: pytest.LogCaptureFixture, url: str, why: str
) -> None:
    settings.HOOK_JWKS_URL = url
    assert push_again(signed()).status_code == 503
    assert why in caplog.text.lower()
    assert "secret" not in caplog.text


def test_a_push_asks_the_database_no_more_than_a_token_does(
    gke: Cluster, django_assert_num_queries: DjangoAssertNumQueries, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    assert push_again(signed()).status_code == 200
    caplog.clear()
    # One finds the cluster, the other that the body is here already.
    with django_assert_num_queries(2):
        assert push(signed()).status_code == 200
    assert not caplog.records
