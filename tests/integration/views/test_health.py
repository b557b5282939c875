"""What monitors are told, and who is told more."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
import yaml
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings
from pytest_django.live_server_helper import LiveServer

from alerts import tasks
from alerts.models import Batch, Canary, Cluster
from alerts.services import inbox, intake, metrics
from tests.conftest import DATA, logged_in
from tests.factories import make_alert
from tests.recorded import take_in
from tests.unit.audit.events import creation, event_list
from triage.celery import app as celery

ROOT = Path(__file__).parent.parent.parent.parent
TOKEN = "prometheus-s-token"


@pytest.fixture
def reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "has_broker", lambda: True)


def get(path: str, token: str | None = None) -> Any:
    return Client(headers={"Authorization": f"Bearer {token}"} if token else {}).get(path)


def waiting(cluster: Cluster, seconds: float, state: str = "waiting") -> None:
    at = timezone.now()
    received = at - timedelta(seconds=seconds)
    until = at + timedelta(minutes=1) if state == "leased" else None
    Batch.objects.create(
        cluster=cluster, sha256=f"{seconds} {state}", size=1, body=b"", received_at=received, state=state,
        leased_until=until,
    )  # fmt: skip


def test_a_living_process_says_so_without_a_database() -> None:
    answer = get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert not answer.cookies


@pytest.mark.usefixtures("reachable")
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_monitors_may_ask_for_any_name_and_are_redirected_nowhere(
    cluster: Cluster, settings: Settings, path: str
) -> None:
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT, settings.METRICS_TOKEN = ["rolecall.example"], True, TOKEN
    asked = {"Host": "10.244.1.17:8000", "Authorization": f"Bearer {TOKEN}"}
    answer = Client(headers=asked).get(path)
    assert answer.status_code == 200
    assert {"X-Content-Type-Options", "X-Frame-Options", "Content-Security-Policy"} <= answer.headers.keys()
    assert Client(headers=asked).post(path).status_code == 405


@pytest.mark.parametrize("path", ["/login", "/hook/prod-eu", "/metrics/", "/nothing"])
def test_nobody_else_is_answered_under_a_name_that_is_not_ours(db: None, settings: Settings, path: str) -> None:
    settings.ALLOWED_HOSTS = ["rolecall.example"]
    assert Client(headers={"Host": "10.244.1.17:8000"}).get(path).status_code == 400
    assert Client(headers={"Host": "rolecall.example"}).get(path).status_code != 400


def test_a_container_is_healthy_when_its_process_answers_whatever_its_name_is(
    live_server: LiveServer, settings: Settings
) -> None:
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = ["rolecall.example"], True
    asked = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["web"]["healthcheck"]["test"]
    code = asked[-1].replace("8000", str(live_server.thread.port))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    missing = code.replace("/healthz", "/nothing")
    assert subprocess.run([sys.executable, "-c", missing], check=False).returncode != 0


@pytest.mark.usefixtures("reachable")
def test_it_is_ready_when_everything_is_there(cluster: Cluster) -> None:
    waiting(cluster, 200)
    answer = get("/readyz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")


@pytest.mark.usefixtures("reachable")
@pytest.mark.parametrize("state", ["waiting", "leased"])
def test_it_is_not_ready_when_a_batch_waits_for_long(cluster: Cluster, settings: Settings, state: str) -> None:
    settings.METRICS_TOKEN = TOKEN
    waiting(cluster, 301, state)
    answer = get("/readyz")
    assert (answer.status_code, answer.content) == (503, b"not ready\n")
    assert get("/readyz", TOKEN).content == b"A batch has waited 301 seconds: are the workers running?\n"
    assert get("/readyz", "guess").content == b"not ready\n"


@pytest.mark.usefixtures("reachable")
def test_a_batch_that_failed_and_is_to_be_tried_again_keeps_nobody_from_being_ready(
    cluster: Cluster, settings: Settings
) -> None:
    settings.METRICS_TOKEN = TOKEN
    now = timezone.now()
    batch, _ = inbox.store_leased(cluster, b"batch")
    Batch.objects.update(received_at=now - timedelta(seconds=700), tries=4)
    inbox.put_back(batch, "It broke.")
    assert get("/readyz").status_code == 200
    Batch.objects.update(leased_until=now - timedelta(seconds=200))
    assert get("/readyz").status_code == 200
    Batch.objects.update(leased_until=now - timedelta(seconds=301))
    assert b"A batch has waited 301 seconds" in get("/readyz", TOKEN).content
    # Whoever tries it again now will say what came of it.
    assert inbox.claim(1) == [batch]
    assert get("/readyz").status_code == 200


@pytest.mark.usefixtures("reachable")
def test_it_is_not_ready_when_nothing_is_done_by_the_clock(cluster: Cluster, settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN
    Cluster.objects.update(readable=True, api_address="https://k8s.example")
    now = timezone.now()
    for seconds, status in ((400, 503), (200, 200)):
        Canary.objects.create(cluster=cluster, audit_id=f"{seconds}", sent_at=now - timedelta(seconds=seconds))
        assert get("/readyz").status_code == status
    Canary.objects.filter(audit_id="200").delete()
    assert b"is beat running?" in get("/readyz", TOKEN).content
    # One that cannot be sent is none: of that there is an alert.
    Cluster.objects.update(canary_error="It does not answer.")
    assert get("/readyz").status_code == 200


@pytest.mark.usefixtures("reachable")
@pytest.mark.parametrize(
    ("limits", "seconds", "said"),
    [
        ({"INBOX_LIMIT": 1}, 10, b"The inbox is full: as many batches wait as may (INBOX_LIMIT: 1)."),
        (
            {"INBOX_AGE_LIMIT": 60},
            61,
            b"The inbox is full: a batch has waited longer than one may (INBOX_AGE_LIMIT: 60 seconds).",
        ),
    ],
)
def test_it_is_not_ready_while_api_servers_are_asked_to_come_again(
    cluster: Cluster,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    limits: dict[str, int],
    seconds: int,
    said: bytes,
) -> None:
    monkeypatch.setattr(inbox, "_fullness", inbox._Fullness())
    settings.METRICS_TOKEN = TOKEN
    for name, limit in limits.items():
        setattr(settings, name, limit)
    waiting(cluster, seconds)
    token = cluster.issue_hook_token()
    cluster.save()
    post = Client(headers={"Authorization": f"Bearer {token}"}).post
    assert post("/hook/prod-eu", b"batch", content_type="application/json").status_code == 503
    assert get("/readyz").status_code == 503
    assert get("/readyz", TOKEN).content == said + b" API servers are asked to come again later.\n"


@pytest.mark.usefixtures("reachable")
def test_it_is_not_ready_before_the_tables_are_of_this_version(db: None, settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN
    MigrationRecorder(connection).migration_qs.filter(app="alerts").order_by("-name")[0].delete()
    assert b"manage.py migrate" in get("/readyz", TOKEN).content


@pytest.mark.usefixtures("reachable")
def test_it_is_not_ready_without_a_database(db: None, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OperationalError

    settings.METRICS_TOKEN = TOKEN
    with monkeypatch.context() as broken:
        broken.setattr(connection, "cursor", fail)
        answer = get("/readyz", TOKEN)
    assert (answer.status_code, answer.content) == (503, b"The database does not answer.\n")


def test_it_is_not_ready_without_a_broker(db: None, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.METRICS_TOKEN = TOKEN
    monkeypatch.setattr(celery.conf, "broker_url", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(celery.conf, "broker_write_url", "redis://127.0.0.1:1/0")
    assert b"The broker does not answer" in get("/readyz", TOKEN).content


def test_metrics_are_for_administrators_and_for_who_has_the_token(
    cluster: Cluster, ana: User, ada: User, settings: Settings
) -> None:
    assert get("/metrics").status_code == 404
    assert get("/metrics", TOKEN).status_code == 404
    assert get("/metrics", "").status_code == 404
    assert logged_in(ana).get("/metrics").status_code == 404
    assert logged_in(ada).get("/metrics").status_code == 200
    settings.METRICS_TOKEN = TOKEN
    answer = get("/metrics", TOKEN)
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert get("/metrics", f"{TOKEN}x").status_code == 401
    assert get("/metrics", "\u00fc").status_code == 401


def test_metrics_count_what_came_of_every_batch(cluster: Cluster) -> None:
    take_in(cluster, (DATA / "audit/envelopes/cut-eks.json").read_bytes())
    take_in(cluster, b"not json")
    inbox.store(cluster, b"not json")
    waiting(cluster, 90)
    waiting(cluster, 900, "quarantined")
    make_alert(cluster, severity="high")
    text = metrics.text()
    for line in (
        'rolecall_batches_received_total{cluster="prod-eu"} 4',
        'rolecall_events_examined_total{cluster="prod-eu"} 2',
        'rolecall_events_salvaged_total{cluster="prod-eu"} 1',
        'rolecall_items_damaged_total{cluster="prod-eu"} 2',
        'rolecall_batches{state="waiting"} 1',
        'rolecall_batches{state="quarantined"} 1',
        'rolecall_alerts{cluster="prod-eu",severity="high",status="new"} 1',
    ):
        assert f"\n{line}\n" in text
    assert "\nrolecall_oldest_waiting_seconds 90" in text
    assert '\nrolecall_event_lag_seconds{cluster="prod-eu"} ' in text


@pytest.mark.parametrize("noted", [None, datetime(9998, 1, 1, tzinfo=UTC)])
def test_an_event_dated_later_than_now_hides_no_lag(cluster: Cluster, noted: datetime | None) -> None:
    """As it would be found, and as it was noted before that was looked at."""
    Cluster.objects.update(last_event_at=noted)
    with time_machine.travel("2026-11-24T12:00:00Z", tick=False):
        take_in(cluster, event_list(creation(requestReceivedTimestamp="2026-11-24T11:59:00.000000Z")))
        assert '\nrolecall_event_lag_seconds{cluster="prod-eu"} 60\n' in metrics.text()
        take_in(cluster, event_list(creation(requestReceivedTimestamp="9998-01-01T00:00:00.000000Z")))
        assert '\nrolecall_event_lag_seconds{cluster="prod-eu"} 0\n' in metrics.text()
    with time_machine.travel("2026-11-24T12:05:00Z", tick=False):
        take_in(cluster, event_list(creation(requestReceivedTimestamp="2026-11-24T12:04:30.000000Z")))
        assert '\nrolecall_event_lag_seconds{cluster="prod-eu"} 30\n' in metrics.text()
        take_in(cluster, event_list(creation(requestReceivedTimestamp="2026-11-24T11:00:00.000000Z")))
        assert '\nrolecall_event_lag_seconds{cluster="prod-eu"} 30\n' in metrics.text()


def test_a_batch_that_is_examined_twice_counts_once(cluster: Cluster) -> None:
    batch, _ = inbox.store_leased(cluster, (DATA / "audit/envelopes/apiserver-log.jsonl").read_bytes())
    for _ in range(2):
        assert intake.examine(batch).error == ""
    cluster.refresh_from_db()
    assert (cluster.batches_finished, cluster.events_examined) == (1, 2)


def test_metrics_take_as_many_queries_however_much_is_stored(
    cluster: Cluster, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(5):
        Cluster.objects.create(name=f"c-{number}")
        waiting(cluster, number)
    with django_assert_num_queries(9):
        metrics.text()


def test_a_label_cannot_leave_its_quotes() -> None:
    metric = metrics.Metric("m", "gauge", "Help.", (({"cluster": 'a"} 1\nforged{x="\\'}, 1.5),))
    assert str(metric).splitlines()[2:] == ['m{cluster="a\\"} 1\\nforged{x=\\"\\\\"} 1.5']
