"""Alerts about the audit trail itself: what they tell, and that their pages stand without an object or an event."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from alerts.detections import audit_stream_silent
from alerts.models import AccessObject, AccessVersion, Alert, Cluster
from alerts.services import alarm, draft, inbox, intake, reconciliation, refusal, stream
from tests.recorded import gathered, told
from tests.unit.audit.events import RULES, as_bytes, creation, event_list, role

HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[31m{{ 7|add:7 }}"
EVERYTHING = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}


def unaudited(
    cluster: Cluster, *, now: dict[str, Any] | None, before: dict[str, Any] | None, kind: str = "ClusterRole"
) -> Alert:
    """Return the alert of an object of which listings showed two versions, gathered."""
    Cluster.objects.update(last_event_at=timezone.now())
    named = AccessObject.named(cluster, kind, "", HOSTILE)
    old, at = timezone.now() - timedelta(hours=2), timezone.now() - timedelta(hours=1)
    if before is not None:
        named.versions.create(
            source="listing", at=old, uid="u", resource_version="1", manifest=before, explanation="baseline"
        )
    identity: dict[str, Any] = {"deletion": True} if now is None else {"resource_version": "2", "manifest": now}
    named.versions.create(source="listing", at=at, uid="u", **identity)
    (alert,) = reconciliation.reconcile(cluster)
    return gathered(alert)


def damaged(cluster: Cluster, *bodies: bytes) -> Alert:
    for body in bodies:
        batch, _ = inbox.store_leased(cluster, body)
        assert not intake.examine(batch).error
    return gathered(Alert.objects.get(detection="audit_data_damaged"))


def binding(*subjects: str) -> dict[str, Any]:
    return {
        "kind": "ClusterRoleBinding",
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "metadata": {"name": HOSTILE, "uid": "u"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "everything"},
        "subjects": [{"kind": "User", "name": name} for name in subjects],
    }


def shown(client: Client, alert: Alert) -> str:
    """Return the alert's page, on which nothing hostile comes out as markup."""
    for address in (alert.get_absolute_url(), f"{alert.get_absolute_url()}/revoke", f"{alert.get_absolute_url()}/tell"):
        response = client.get(address)
        assert response.status_code == 200, address
        page = response.content.decode()
        assert "<img" not in page
        assert "\u202e" not in page
        assert "\x1b" not in page
    page = client.get(alert.get_absolute_url()).content.decode()
    for group in ("security", "it", "management"):
        assert draft.compose(alert, group).text
    return page


def test_a_widened_role_is_investigated_like_a_new_one_and_its_difference_shown(
    cluster: Cluster, as_rex: Client
) -> None:
    alert = unaudited(cluster, before=role(HOSTILE), now=role(HOSTILE) | {"rules": [*RULES, EVERYTHING]})
    assert told(alert).endswith("changed, and no audit event says by whom.")
    assert alert.evidence["permissions"]["known"]
    assert alert.evidence["creator"]["trail"]["lines"][0][0] == "+"
    assert (alert.score >= 60, alert.severity in {"high", "critical"}) == (True, True)
    page = shown(as_rex, alert)
    assert "Last known" in page
    assert "changed without an audit event" in page
    assert f"/roles/{alert.object_id}" in page


def test_a_touch_that_changed_nothing_weighs_less(cluster: Cluster) -> None:
    harmless = [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods/status"]}]
    alert = unaudited(cluster, before=role(HOSTILE) | {"rules": harmless}, now=role(HOSTILE) | {"rules": harmless})
    assert alert.score == 30
    assert alert.evidence["creator"]["trail"]["lines"] == [["", "Nothing of what it grants changed."]]


def test_a_vanished_role_has_a_page_too(cluster: Cluster, as_rex: Client) -> None:
    alert = unaudited(cluster, before=role(HOSTILE), now=None)
    assert "vanished" in told(alert)
    assert "it did not exist" not in str(alert.evidence["creator"]["trail"]["facts"][0])
    assert "vanished without an audit event" in shown(as_rex, alert)


def test_a_binding_weighs_what_its_role_permits(cluster: Cluster, as_rex: Client) -> None:
    everything = AccessObject.named(cluster, "ClusterRole", "", "everything")
    everything.versions.create(
        source="listing", at=timezone.now() - timedelta(hours=3), uid="e", resource_version="1",
        manifest=role("everything") | {"rules": [EVERYTHING]}, explanation="baseline",
    )  # fmt: skip
    alert = unaudited(cluster, kind="ClusterRoleBinding", before=binding("jane"), now=binding("jane", HOSTILE))
    assert alert.severity == "critical"
    assert [sign for sign, _ in alert.evidence["creator"]["trail"]["lines"]] == ["+"]
    page = shown(as_rex, alert)
    assert f"/roles/{alert.object_id}" not in page


def test_a_change_whose_event_came_late_names_its_actor(cluster: Cluster, as_rex: Client) -> None:
    alert = unaudited(cluster, before=role(HOSTILE, uid="u"), now=role(HOSTILE, uid="u", resourceVersion="2"))
    late = creation(
        HOSTILE, verb="patch", responseStatus={"code": 200}, responseObject=role(HOSTILE, uid="u", resourceVersion="2")
    )
    batch, _ = inbox.store_leased(cluster, event_list(late))
    intake.examine(batch)
    reconciliation.reconcile(cluster)
    alert = gathered(alert)
    assert told(alert) == "mallory@example.com did this: the audit event came, but late."
    assert alert.evidence["creator"]["actor"] == "mallory@example.com"
    shown(as_rex, alert)


def test_a_silent_stream_says_what_to_do_until_it_is_back(cluster: Cluster, as_rex: Client) -> None:
    now = timezone.now()
    Cluster.objects.update(silent_since=now, last_event_at=now, last_batch_at=now, canary_error=HOSTILE)
    found = audit_stream_silent.finding(
        cluster.name, audit_stream_silent.Silence(now, audit_stream_silent.Sign.SILENCE)
    )
    alert = gathered(alarm.open_alert(cluster, found, at=now)[0])
    assert (alert.object, alert.events.count(), alert.score) == (None, 0, 70)
    assert "what happens there is not seen" in told(alert)
    assert "What to do" in shown(as_rex, alert)
    Cluster.objects.update(silent_since=None)
    alert = gathered(alert)
    assert "They do again" in told(alert)
    assert alert.evidence["creator"]["summary"] == "The stream is back."
    shown(as_rex, alert)
    assert stream.judge(Cluster.objects.get()) is None


def test_damaged_data_names_actor_and_objects(cluster: Cluster, as_rex: Client) -> None:
    event = creation(HOSTILE, user={"username": HOSTILE}, annotations={"audit.k8s.io/truncated": "true"})
    alert = damaged(
        cluster, event_list(event), event_list(as_bytes(creation(user={"username": HOSTILE}, auditID="A" * 999)))
    )
    assert alert.actor == HOSTILE
    lines = [text for _, text in alert.evidence["creator"]["trail"]["lines"]]
    assert [text.rpartition(": ")[2] for text in lines] == ["cut or malformed", "audit ID of 999 characters"]
    assert "Audit data of" in shown(as_rex, alert)


@pytest.mark.parametrize("aside", [False, True])
def test_what_nobody_could_read_has_a_page_without_events(cluster: Cluster, as_rex: Client, *, aside: bool) -> None:
    if aside:
        batch, _ = inbox.store_leased(cluster, HOSTILE.encode())
        batch.tries = inbox.TRIES
        batch.save(update_fields=["tries"])
        inbox.put_back(batch, HOSTILE)
        alert = gathered(Alert.objects.get())
    else:
        alert = damaged(cluster, HOSTILE.encode())
    assert (alert.actor, alert.object, alert.events.count()) == ("", None, 0)
    assert "set aside" in alert.evidence["creator"]["trail"]["todo"][2]
    assert len(alert.evidence["creator"]["trail"]["lines"]) == 1
    shown(as_rex, alert)
    queue = as_rex.get("/").content.decode()
    assert alert.reference in queue or alert.title in queue


@pytest.mark.parametrize("readable", [False, True])
def test_a_refused_batch_says_what_to_do(cluster: Cluster, as_rex: Client, *, readable: bool) -> None:
    Cluster.objects.update(readable=readable, api_address="https://192.0.2.1")
    alert = refusal.record(cluster, "70000000 bytes", f"70000000 bytes {HOSTILE}")
    assert alert is not None
    alert = gathered(alert)
    assert told(alert).startswith("A batch of 70000000 bytes was refused, and ")
    trail = alert.evidence["creator"]["trail"]
    assert "70000000" in trail["lines"][0][1]
    assert ("may not list" in trail["todo"][0]) is not readable
    assert "--audit-webhook-batch-max-size=" in shown(as_rex, alert)
    assert gathered(alert).story == alert.story


def test_an_alert_of_the_trail_can_be_gathered_twice(cluster: Cluster) -> None:
    alert = unaudited(cluster, before=None, now=role(HOSTILE))
    again = gathered(alert)
    assert (again.story, again.score, again.factors) == (alert.story, alert.score, alert.factors)
    assert AccessVersion.objects.filter(alert=alert).count() == 1
