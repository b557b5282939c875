"""A cluster's page: its stream, what no event told, what is damaged or set aside, and what to do next."""

import pytest
from django.test import Client
from django.utils import timezone

from alerts import tasks
from alerts.models import AccessObject, Batch, Cluster
from alerts.services import inbox
from tests.factories import make_alert

HOSTILE = "<img src=x onerror=alert(1)>\u202e"
PAGE = "/clusters/prod-eu"


@pytest.fixture
def asked(cluster: Cluster) -> Cluster:
    cluster.api_address, cluster.readable, cluster.last_event_at = "https://127.0.0.1:1", True, timezone.now()
    cluster.save()
    return cluster


@pytest.fixture
def aside(cluster: Cluster) -> Batch:
    batch = inbox.store(cluster, b"x")
    Batch.objects.update(state=Batch.State.QUARANTINED, tries=5, error=HOSTILE, alert=make_alert(cluster))
    return batch


def page(client: Client) -> str:
    response = client.get(PAGE)
    assert response.status_code == 200
    found = response.content.decode()
    assert "<img" not in found
    assert "\u202e" not in found
    return found


def test_a_new_cluster_waits_for_its_first_event(cluster: Cluster, as_vic: Client) -> None:
    found = page(as_vic)
    assert "waiting for its first event" in found
    assert "judges the stream by its usual rate" in found
    assert "Unaudited changes" not in found


def test_it_shows_when_a_test_request_was_sent_and_seen(asked: Cluster, as_vic: Client) -> None:
    asked.canaries.create(audit_id="a")
    assert "No event of our own test requests ever arrived" in page(as_vic)
    asked.canaries.create(audit_id="b", seen_at=timezone.now())
    found = page(as_vic)
    assert "ever arrived" not in found
    assert found.count("0 s</time> ago") >= 3
    Cluster.objects.update(canary_error=HOSTILE)
    assert "No test request could be sent: &lt;img" in page(as_vic)


def test_a_silent_stream_stands_out(asked: Cluster, as_vic: Client) -> None:
    assert ">alive<" in page(as_vic)
    Cluster.objects.update(silent_since=timezone.now())
    found = page(as_vic)
    assert "Its audit stream is silent" in found
    assert ">silent<" in found


def test_unaudited_changes_lead_to_their_alerts(asked: Cluster, as_vic: Client) -> None:
    named = AccessObject.named(asked, "RoleBinding", HOSTILE, HOSTILE)
    alert = make_alert(asked)
    named.versions.create(source="listing", uid="u", resource_version="1", alert=alert)
    named.versions.create(source="listing", uid="u", resource_version="2")
    found = page(as_vic)
    assert "Unaudited changes · 1" in found
    assert "1 more waits for its event" in found
    assert f'href="{alert.get_absolute_url()}"' in found


def test_what_was_set_aside_can_be_examined_again(
    aside: Batch, as_ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken = []
    monkeypatch.setattr(tasks, "wake", lambda task, *_: woken.append(task))
    assert "Examine again" in page(as_ada)
    address = f"{PAGE}/batches/{aside.pk}/examine"
    assert as_ada.get(address).status_code == 405
    assert "is being examined again" in as_ada.post(address, follow=True).content.decode()
    assert Batch.objects.get().state == Batch.State.WAITING
    assert woken == [tasks.examine_inbox]
    assert "not set aside any more" in as_ada.post(address, follow=True).content.decode()
    assert as_ada.post(f"/clusters/other/batches/{aside.pk}/examine").status_code == 404


def test_only_an_administrator_has_it_examined_again(aside: Batch, as_rex: Client) -> None:
    assert "Needs the group Administrator." in page(as_rex)
    assert as_rex.post(f"{PAGE}/batches/{aside.pk}/examine").status_code == 403
    assert Batch.objects.get().state == Batch.State.QUARANTINED
