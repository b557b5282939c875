import io
import socket
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from django.db import OperationalError
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerUnreachable
from pytest_django import DjangoAssertNumQueries, Settings
from pytest_django.live_server_helper import LiveServer

from alerts import tasks
from alerts.lifecycle import Status, Verdict
from alerts.models import Activity, Alert, Batch, Cluster
from alerts.services import inbox, refusal
from tests.conftest import DATA
from tests.unit.audit.events import creation, event_list

BODY = event_list(creation())


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The tasks that were woken, instead of the broker that would have to run."""
    tasks_woken: list[Any] = []
    monkeypatch.setattr(tasks, "wake", lambda task, *_, **__: tasks_woken.append(task))
    monkeypatch.setattr(tasks, "_announcements", tasks._Announcements())
    return tasks_woken


@pytest.fixture
def token(cluster: Cluster, woken: list[Any]) -> str:
    token = cluster.issue_hook_token()
    cluster.save()
    return token


def post(token: str | None, body: bytes = BODY, name: str = "prod-eu", **headers: Any) -> Any:
    client = Client(enforce_csrf_checks=True)
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return client.post(f"/hook/{name}?timeout=30s", body, content_type="application/json", headers=headers)


def send(token: str, **environment: Any) -> int:
    """Post over a stream of our own, as a web server would hand it over."""
    stream = {"wsgi.input": io.BytesIO(BODY)} | environment
    client = Client(headers={"Authorization": f"Bearer {token}"})
    return client.post("/hook/prod-eu", BODY, content_type="application/json", **stream).status_code


def test_a_batch_is_on_disk_before_it_is_answered(token: str, woken: list[Any]) -> None:
    answer = post(token)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer["Content-Type"] == "application/json"
    assert not answer.cookies
    assert inbox.body(Batch.objects.get()) == BODY
    assert woken == [tasks.examine_inbox]


def test_every_batch_has_a_wake_up_ahead_of_it_and_a_rush_shares_one(monkeypatch: pytest.MonkeyPatch) -> None:
    due: list[float] = []
    clock = [1000.0]
    monkeypatch.setattr("alerts.tasks.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(tasks, "wake", lambda _, *, after: due.append(clock[0] + after))
    announcements = tasks._Announcements()
    for step in (0.0, 0.01, 0.01, 0.05, 0.04, 0.3):
        clock[0] += step
        announcements.send()
        assert due[-1] >= clock[0]
    assert due == pytest.approx([1000.0, 1000.1, 1000.2, 1000.41])


def test_the_address_has_no_slash_at_its_end(cluster: Cluster) -> None:
    assert reverse("alerts:hook", args=[cluster.name]) == "/hook/prod-eu"


def test_a_batch_that_comes_again_is_answered_the_same(token: str) -> None:
    assert [post(token).status_code for _ in range(3)] == [200, 200, 200]
    assert Batch.objects.count() == 1


def test_a_batch_that_comes_again_costs_one_look_up(
    token: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    post(token)
    # The other finds the cluster.
    with django_assert_num_queries(2):
        assert post(token).status_code == 200


@pytest.mark.parametrize("wrong", [None, "", "nonsense", "prod-eu"])
def test_a_wrong_token_is_refused(token: str, wrong: str | None) -> None:
    answer = post(wrong)
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert not Batch.objects.exists()


def test_another_scheme_than_bearer_is_refused(token: str) -> None:
    assert post(None, Authorization=f"Basic {token}").status_code == 401
    assert post(None, Authorization=f"bearer {token}").status_code == 200


@pytest.mark.parametrize("name", ["elsewhere", "prod-eu%00", "%F0%9F%92%A9", "PROD-EU"])
def test_an_unknown_cluster_is_not_found_whatever_the_token(token: str, name: str) -> None:
    assert post(token, name=name).status_code == 404
    assert not Batch.objects.exists()


def test_the_token_of_an_unknown_cluster_is_compared_all_the_same(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def accepts(_: Cluster, token: str) -> bool:
        compared.append(token)
        return False

    monkeypatch.setattr(Cluster, "accepts", accepts)
    assert post("guess", name="elsewhere").status_code == 404
    assert compared == ["guess"]


def test_during_a_rotation_both_tokens_are_valid(token: str, cluster: Cluster) -> None:
    newer = cluster.issue_hook_token()
    cluster.save()
    assert post(token, b"1").status_code == 200
    assert post(newer, b"2").status_code == 200
    newest = cluster.issue_hook_token()
    cluster.save()
    assert post(token, b"3").status_code == 401
    assert post(newest, b"4").status_code == 200


def test_only_a_post_is_allowed(token: str) -> None:
    assert Client().get("/hook/prod-eu").status_code == 405


@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b"{", b"\x1f\x8bnonsense", *((p.read_bytes()) for p in (DATA / "audit/hostile").iterdir())],
)
def test_content_is_never_refused(token: str, body: bytes) -> None:
    assert post(token, body).status_code == 200
    assert inbox.body(Batch.objects.get()) == body


def test_a_body_far_above_django_s_own_limit_is_taken(token: str, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    body = event_list(*[creation()] * 3000)
    assert len(body) > 3_000_000
    assert post(token, body).status_code == 200
    assert Batch.objects.get().size == len(body)


def test_a_body_above_our_limit_is_refused_and_on_record(token: str, settings: Settings) -> None:
    settings.HOOK_BODY_LIMIT = len(BODY) - 1
    assert post(token).status_code == 413
    assert not Batch.objects.exists()
    assert str(len(BODY)) in Activity.objects.get(kind="refused").summary
    settings.HOOK_BODY_LIMIT = len(BODY)
    assert post(token).status_code == 200


def test_what_is_refused_opens_an_alert_and_has_the_cluster_listed(
    token: str, woken: list[Any], settings: Settings
) -> None:
    settings.HOOK_BODY_LIMIT = 10
    assert post(token).status_code == 413
    alert = Alert.objects.get()
    assert (alert.detection, alert.title) == ("audit_data_damaged", f"A batch of {len(BODY):,} bytes was refused")
    assert woken == [tasks.investigate, tasks.refresh_inventory]


def test_many_refused_batches_are_one_alert_a_day_with_one_note_in_some_minutes(
    token: str, woken: list[Any], settings: Settings
) -> None:
    settings.HOOK_BODY_LIMIT = 10
    with time_machine.travel(datetime(2026, 11, 23, 12, tzinfo=UTC), tick=False) as clock:
        for _ in range(2):
            for number in range(5):
                assert post(token, b"x" * (20 + number)).status_code == 413
            clock.shift(timedelta(minutes=6))
        assert Activity.objects.filter(kind="refused").count() == 2
        assert len(woken) == 4
        assert Alert.objects.get().title == "A batch of 20 bytes was refused"
        clock.shift(timedelta(days=1))
        post(token)
        assert Alert.objects.count() == 2


def test_what_is_refused_after_its_alert_was_closed_opens_it_again(token: str, settings: Settings) -> None:
    settings.HOOK_BODY_LIMIT = 10
    post(token)
    Alert.objects.update(status=Status.CLOSED, verdict=Verdict.BENIGN, closed_at=timezone.now())
    post(token)
    assert Alert.objects.get().is_open()
    assert Activity.objects.filter(kind="refused").count() == 2


def test_where_a_refusal_cannot_be_noted_the_batch_is_to_be_sent_again(
    token: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OperationalError("database is locked")

    settings.HOOK_BODY_LIMIT = 10
    monkeypatch.setattr(refusal, "record", fail)
    assert post(token).status_code == 503


def test_a_stranger_s_large_body_is_not_put_on_record(token: str, settings: Settings) -> None:
    settings.HOOK_BODY_LIMIT = 10
    assert post("nonsense").status_code == 401
    assert not Activity.objects.exists()
    assert not Alert.objects.exists()


def test_a_body_that_ends_too_early_is_not_kept_and_opens_the_same_alert(token: str) -> None:
    assert send(token, CONTENT_LENGTH=str(len(BODY) + 1)) == 503
    assert not Batch.objects.exists()
    assert Alert.objects.get().title == f"A batch of {len(BODY) + 1:,} bytes was refused"
    assert f"only {len(BODY)} bytes came" in Activity.objects.get(kind="refused").summary


def test_a_body_whose_sender_leaves_is_not_kept_and_opens_the_same_alert(token: str) -> None:
    class Left(io.BytesIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            raise ConnectionResetError

    assert send(token, **{"wsgi.input": Left()}) == 503
    assert Alert.objects.get().title == f"A batch of {len(BODY):,} bytes was refused"


def test_a_chunked_body_is_read_where_the_server_ends_the_stream(token: str, settings: Settings) -> None:
    chunked: dict[str, Any] = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}
    assert send(token, **chunked) == 411
    assert Alert.objects.get().title == "A batch of unknown size was refused"
    chunked["wsgi.input_terminated"] = True
    assert send(token, **chunked) == 200
    assert inbox.body(Batch.objects.get()) == BODY
    settings.HOOK_BODY_LIMIT = 100
    Alert.objects.update(status=Status.CLOSED, verdict=Verdict.BENIGN, closed_at=timezone.now())
    assert send(token, **chunked) == 413
    assert Alert.objects.get().title == "A batch of more than 100 bytes was refused"


def test_a_full_inbox_asks_to_come_again(token: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.INBOX_LIMIT = 1
    post(token, b"first")
    monkeypatch.setattr(inbox, "_fullness", inbox._Fullness())
    answer = post(token)
    assert (answer.status_code, answer["Retry-After"]) == (503, "3")
    assert post(token, b"first").status_code == 200


def test_an_inbox_that_nobody_empties_asks_to_come_again(
    token: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(token, b"first")
    settings.INBOX_AGE_LIMIT = 60
    Batch.objects.update(received_at=timezone.now() - timedelta(seconds=59))
    monkeypatch.setattr(inbox, "_fullness", inbox._Fullness())
    assert post(token, b"second").status_code == 200
    Batch.objects.update(received_at=timezone.now() - timedelta(seconds=61))
    monkeypatch.setattr(inbox, "_fullness", inbox._Fullness())
    answer = post(token)
    assert (answer.status_code, answer["Retry-After"]) == (503, "3")


def test_firehose_is_answered_in_its_own_way(token: str) -> None:
    headers: dict[str, Any] = {"X-Amz-Firehose-Access-Key": token, "X-Amz-Firehose-Request-Id": "ed4acda5-034f"}
    answer = post(None, **headers)
    assert answer.status_code == 200
    assert answer.json()["requestId"] == "ed4acda5-034f"
    assert abs(answer.json()["timestamp"] / 1000 - timezone.now().timestamp()) < 60
    assert post(None, **headers | {"X-Amz-Firehose-Access-Key": "guess"}).status_code == 401


@pytest.mark.parametrize(
    ("peer", "name", "status"),
    [
        ("10.0.4.7", "prod-eu", 200),
        ("fd00::7", "prod-eu", 200),
        ("10.0.4.7", "prod-us", 403),
        ("10.0.4.7", "prod-eu,prod-eu", 403),
        ("10.0.4.7", None, 403),
        ("10.0.5.7", "prod-eu", 403),
        ("", "prod-eu", 403),
    ],
)
def test_a_certificate_counts_where_a_trusted_proxy_has_seen_it(
    token: str, settings: Settings, peer: str, name: str | None, status: int
) -> None:
    settings.HOOK_CERTIFICATE_HEADER = "X-Client-Name"
    settings.HOOK_TRUSTED_PROXIES = [ip_network("10.0.4.0/24"), ip_network("fd00::/64")]
    headers = {"X-Client-Name": name} if name else {}
    client = Client(headers={"Authorization": f"Bearer {token}"} | headers, REMOTE_ADDR=peer)
    assert client.post("/hook/prod-eu", BODY, content_type="application/json").status_code == status
    assert Batch.objects.exists() == (status == 200)


def test_a_certificate_comes_on_top_of_the_token(token: str, settings: Settings) -> None:
    settings.HOOK_CERTIFICATE_HEADER = "X-Client-Name"
    settings.HOOK_TRUSTED_PROXIES = [ip_network("127.0.0.0/8")]
    headers: dict[str, Any] = {"X-Client-Name": "prod-eu"}
    assert post("guess", **headers).status_code == 401


def test_over_plain_http_the_hook_and_the_monitors_are_not_redirected(token: str, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert post(token).status_code == 200
    assert Client().get("/healthz").status_code == 200
    assert Client().get("/login").status_code == 301


@pytest.mark.parametrize(
    "problem", [OperationalError("database is locked"), OperationalError("disk is full"), OSError(28)]
)
def test_what_cannot_be_stored_now_is_to_be_sent_again(
    token: str, woken: list[Any], monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    def fail(*_: Any) -> None:
        raise problem

    monkeypatch.setattr(inbox, "store", fail)
    answer = post(token)
    assert (answer.status_code, answer["Retry-After"]) == (503, "3")
    assert not woken


def test_without_a_broker_a_batch_is_kept_all_the_same(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise BrokerUnreachable

    monkeypatch.setattr(tasks.examine_inbox, "apply_async", fail)
    monkeypatch.setattr(tasks, "_announcements", tasks._Announcements())
    token = cluster.issue_hook_token()
    cluster.save()
    assert post(token).status_code == 200
    assert Batch.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_an_api_server_s_request_is_answered_over_a_real_socket(live_server: LiveServer) -> None:
    cluster = Cluster(name="prod-eu")
    token = cluster.issue_hook_token()
    cluster.save()
    head = (
        "POST /hook/prod-eu?timeout=30s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Go-http-client/1.1\r\n"
        f"Content-Length: {len(BODY)}\r\nAccept: application/json, */*\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
    )
    where = urlsplit(live_server.url)
    with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
        connection.sendall(head.encode() + BODY)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b" 200 OK\r\n" in answer
    assert b"Set-Cookie" not in answer
    assert Batch.objects.get().size == len(BODY)
