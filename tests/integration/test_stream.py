"""Whether a cluster's stream is alive: canaries against the practice cluster, and silence by the usual rate."""

from collections.abc import Iterator
from datetime import timedelta
from typing import NoReturn

import pytest
import time_machine
from django.utils import timezone

from alerts.cluster.api import ClusterAPI
from alerts.cluster.errors import Refused
from alerts.cluster.practice import server
from alerts.lifecycle import Status, Verdict
from alerts.models import Activity, Alert, Batch, Canary, Cluster
from alerts.services import inbox, intake, listing, reach, stream
from tests.recorded import gathered, told
from tests.unit.audit.events import event_list, reading


@pytest.fixture
def asked(cluster: Cluster, socket_enabled: None) -> Iterator[Cluster]:
    """A cluster that can be asked."""
    with server.running(replay=[]) as practice:
        cluster.api_address, cluster.readable, cluster.private_address_allowed = practice.address, True, True
        cluster.set_api_token(practice.token)
        cluster.save()
        yield cluster


def take_in(cluster: Cluster, audit_id: str) -> None:
    batch, _ = inbox.store_leased(cluster, event_list(reading(audit_id)))
    assert not intake.examine(batch).error
    cluster.refresh_from_db()


def judged(cluster: Cluster, **later: float) -> Alert | None:
    with time_machine.travel(timezone.now() + timedelta(**later)):
        found = stream.judge(Cluster.objects.get(pk=cluster.pk))
    cluster.refresh_from_db()
    return found


def busy(cluster: Cluster) -> None:
    """Let the cluster have posted a batch every ten seconds until now."""
    now = timezone.now()
    Batch.objects.bulk_create(
        Batch(
            cluster=cluster, sha256=f"{number:064}", size=1, body=b"", state=Batch.State.DONE,
            received_at=now - timedelta(seconds=10 * number),
        )
        for number in range(30)
    )  # fmt: skip
    Cluster.objects.update(last_batch_at=now, last_event_at=now)


def test_a_canary_is_sent_and_its_event_seen(asked: Cluster) -> None:
    canary = stream.send_canary(asked)
    assert canary is not None
    assert (canary.seen_at, asked.canary_error) == (None, "")
    take_in(asked, canary.audit_id)
    canary.refresh_from_db()
    assert canary.seen_at is not None


def test_somebody_elses_canary_proves_nothing(asked: Cluster) -> None:
    canary = stream.send_canary(asked)
    assert canary is not None
    take_in(asked, f"{stream.AUDIT_ID}{'0' * 32}")
    take_in(Cluster.objects.create(name="other"), canary.audit_id)
    canary.refresh_from_db()
    assert canary.seen_at is None


def test_a_canary_that_cannot_be_sent_says_why_and_proves_nothing(cluster: Cluster) -> None:
    cluster.api_address, cluster.readable, cluster.private_address_allowed = "https://127.0.0.1:1", True, True
    cluster.set_api_token("token")
    cluster.save()
    assert stream.send_canary(cluster) is None
    cluster.refresh_from_db()
    assert "127.0.0.1:1" in cluster.canary_error
    assert not Canary.objects.exists()


def out_of_reach(cluster: Cluster, **later: float) -> Alert | None:
    with time_machine.travel(timezone.now() + timedelta(**later)):
        stream.send_canary(cluster)
        cluster.refresh_from_db()
        return reach.judge(cluster)


def test_a_cluster_that_refuses_to_be_asked_for_long_is_told_once_and_so_is_that_it_answers_again(
    asked: Cluster,
) -> None:
    token = asked.api_token()
    assert out_of_reach(asked) is None
    asked.set_api_token("taken away")
    asked.save()
    assert out_of_reach(asked, minutes=5) is None
    assert out_of_reach(asked, minutes=15) is None
    alert = out_of_reach(asked, minutes=21)
    assert alert is not None
    assert (alert.title, alert.detection) == ("Rolecall can no longer ask prod-eu", "cluster_out_of_reach")
    assert out_of_reach(asked, minutes=30) is None

    evidence = gathered(alert).evidence["creator"]
    assert evidence["summary"] == "Out of reach still."
    assert "does not accept Rolecall's token" in str(evidence["trail"]["facts"])

    asked.set_api_token(token)
    asked.save()
    assert out_of_reach(asked, minutes=31) is None
    assert asked.unasked_since is None
    assert gathered(alert).evidence["creator"]["summary"] == "It can be asked again."
    assert alert.activities.get(kind="alive").summary == "could ask the cluster again"


def test_a_cluster_whose_roles_can_no_longer_be_listed_is_told_although_it_answers(
    asked: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert listing.refresh(asked)

    def refuse(_: object, kind: str) -> NoReturn:
        raise Refused(f"Rolecall may not list {kind}.", answer="forbidden")

    with monkeypatch.context() as taken:
        taken.setattr(ClusterAPI, "list_all", refuse)
        assert not listing.refresh(asked)
        assert out_of_reach(asked, minutes=14) is None
        alert = out_of_reach(asked, minutes=16)
        assert alert is not None
        assert alert.title == "Rolecall can no longer list the roles and bindings of prod-eu"
        assert (asked.canary_error, out_of_reach(asked, minutes=17)) == ("", None)
        alert = gathered(alert)
        assert told(alert).startswith("Rolecall cannot list the roles and bindings of prod-eu since ")
        facts = dict(alert.evidence["creator"]["trail"]["facts"])
        assert facts["To a listing"] == "Rolecall may not list ClusterRole."
        assert facts["To a test request"] == "it answers"
    assert listing.refresh(asked)
    assert asked.unasked_since is None
    assert alert.activities.get(kind="alive").summary == "could ask the cluster again"


def test_an_outage_is_over_once_the_cluster_is_listed_again(asked: Cluster) -> None:
    assert listing.refresh(asked)
    token = asked.api_token()
    asked.set_api_token("taken away")
    asked.save()
    assert not listing.refresh(asked)
    alert = out_of_reach(asked, minutes=16)
    assert alert is not None
    asked.set_api_token(token)
    asked.save()
    assert out_of_reach(asked, minutes=17) is None
    assert not alert.activities.filter(kind="alive").exists()
    assert listing.refresh(asked)
    assert alert.activities.filter(kind="alive").exists()


def test_a_cluster_that_nobody_has_rolecall_ask_any_more_is_no_alert(asked: Cluster) -> None:
    assert out_of_reach(asked) is None
    asked.set_api_token("taken away")
    asked.save()
    assert out_of_reach(asked, minutes=1) is None
    asked.readable = False
    asked.save()
    assert out_of_reach(asked, minutes=60) is None


def test_a_cluster_that_never_could_be_asked_is_no_alert(asked: Cluster) -> None:
    asked.set_api_token("wrong from the beginning")
    asked.save()
    assert out_of_reach(asked) is None
    assert out_of_reach(asked, days=1) is None
    assert not Alert.objects.exists()


def test_old_canaries_are_forgotten_but_not_the_last_that_was_heard(asked: Cluster) -> None:
    old = timezone.now() - timedelta(days=3)
    heard = [
        asked.canaries.create(audit_id=str(day), sent_at=old + timedelta(hours=day), seen_at=old) for day in range(3)
    ]
    stream.send_canary(asked)
    assert asked.canaries.order_by("sent_at").first() == heard[-1]
    assert asked.canaries.count() == 2


def test_a_canary_that_never_comes_opens_one_alert_until_the_stream_is_back(cluster: Cluster) -> None:
    busy(cluster)
    now = timezone.now()
    cluster.canaries.create(audit_id="a", sent_at=now - timedelta(seconds=60), seen_at=now)
    cluster.canaries.create(audit_id="b", sent_at=now)
    assert judged(cluster, seconds=200) is None
    alert = judged(cluster, seconds=400)
    assert alert is not None
    assert alert.title == "Audit events get lost on the way from prod-eu"
    assert (alert.detection, alert.object, alert.happened_at, cluster.silent_since) == (
        "audit_stream_silent", None, now, now
    )  # fmt: skip
    assert judged(cluster, seconds=500) is None
    cluster.canaries.create(audit_id="c", sent_at=now + timedelta(seconds=500), seen_at=now + timedelta(seconds=501))
    assert judged(cluster, seconds=510) is None
    assert cluster.silent_since is None
    assert alert.activities.get(kind="alive").summary.startswith("found the stream alive again")
    assert alert.is_open()


def test_a_silence_while_its_alert_is_open_is_told_there(cluster: Cluster) -> None:
    busy(cluster)
    alert = judged(cluster, minutes=20)
    assert alert is not None
    assert alert.title == "No audit events arrive from prod-eu"
    busy_again = timezone.now() + timedelta(minutes=21)
    Cluster.objects.update(last_batch_at=busy_again)
    assert judged(cluster, minutes=22) is None
    assert cluster.silent_since is None
    assert judged(cluster, minutes=60) is None
    assert cluster.silent_since is not None
    assert list(alert.activities.order_by("pk").values_list("kind", flat=True)) == ["opened", "alive", "silent"]
    assert not Activity.objects.broken(alert)


def test_a_silence_after_its_alert_was_closed_opens_another(cluster: Cluster) -> None:
    busy(cluster)
    assert judged(cluster, minutes=20) is not None
    Cluster.objects.update(last_batch_at=timezone.now() + timedelta(minutes=21))
    judged(cluster, minutes=22)
    Alert.objects.update(status=Status.CLOSED, verdict=Verdict.BENIGN, closed_at=timezone.now())
    assert judged(cluster, minutes=60) is not None
    assert Alert.objects.count() == 2


def test_a_cluster_that_never_sent_anything_waits_for_its_first_event(cluster: Cluster) -> None:
    cluster.canaries.create(audit_id="a", sent_at=timezone.now(), seen_at=timezone.now())
    cluster.canaries.create(audit_id="b", sent_at=timezone.now())
    assert stream.streams() == []
    assert judged(cluster, days=1) is None
    assert not Alert.objects.exists()


def test_a_backlog_of_ours_is_no_silence_of_theirs(cluster: Cluster) -> None:
    busy(cluster)
    now = timezone.now()
    cluster.canaries.create(audit_id="a", sent_at=now - timedelta(seconds=60), seen_at=now)
    cluster.canaries.create(audit_id="b", sent_at=now)
    batch = inbox.store(cluster, event_list(reading()))
    assert judged(cluster, seconds=400) is None
    Batch.objects.filter(pk=batch.pk).update(state=Batch.State.DONE)
    assert judged(cluster, seconds=400) is not None
