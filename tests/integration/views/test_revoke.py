"""The page that revokes, where Rolecall knows the cluster from its audit events only."""

from collections.abc import Mapping

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from alerts.models import AccessObject, AccessVersion, Alert, AuditEvent, Cluster, Revocation
from alerts.services import revocation
from tests.factories import make_alert

HOSTILE = "<img src=x onerror=alert(1)> '; rm -rf / #\u202e\n\x1b[2J"


@pytest.fixture
def alert(cluster: Cluster) -> Alert:
    """An alert on a role of which the audit events told everything, on a cluster without an API address."""
    return remembered_alert(cluster, "metrics-scraper-v2")


def remembered_alert(cluster: Cluster, name: str) -> Alert:
    alert = make_alert(cluster, name)
    see(cluster, "ClusterRole", name, alert.object_uid, {"rules": []})
    see(
        cluster, "ClusterRoleBinding", name, "b-uid", {"roleRef": {"kind": "ClusterRole", "name": name}, "subjects": []}
    )
    return alert


def see(cluster: Cluster, kind: str, name: str, uid: str, manifest: Mapping[str, object]) -> AccessVersion:
    about = AccessObject.named(cluster, kind, "", name)
    metadata = {"name": name, "creationTimestamp": "2026-11-24T13:58:41Z"}
    return AccessVersion.objects.create(
        object=about, source="event", uid=uid, resource_version="409", manifest={**manifest, "metadata": metadata}
    )


def page(alert: Alert) -> str:
    return reverse("alerts:revoke", args=[alert.pk])


def post(client: Client, alert: Alert, name: str, **data: str) -> int:
    return client.post(reverse(f"alerts:{name}", args=[alert.pk]), data).status_code


def test_without_credentials_the_page_gives_the_exact_commands_with_their_preconditions(
    as_rex: Client, alert: Alert
) -> None:
    revocation.plan(alert)
    text = as_rex.get(page(alert)).content.decode()
    assert "Rolecall has no API address for cluster prod-eu." in text
    assert "kubectl delete --raw /apis/rbac.authorization.k8s.io/v1/clusterrolebindings/metrics-scraper-v2 -f -" in text
    assert "&quot;uid&quot;:&quot;2d529a80-0000-4000-8000-000000000000&quot;" in text
    assert "I ran it, check" in text
    assert 'class="button danger"' not in text


def test_checking_by_hand_believes_nothing_before_the_deletions_were_logged(as_ana: Client, alert: Alert) -> None:
    revocation.plan(alert)
    response = as_ana.post(reverse("alerts:revoke_check", args=[alert.pk]), follow=True)
    assert "No audit event of its deletion was received yet." in response.content.decode()
    assert alert.steps.get(key="revoke").outcome == ""
    assert revocation.finished(alert) is None


def test_checking_by_hand_is_proved_by_the_audit_events_of_the_deletions(as_ana: Client, alert: Alert) -> None:
    revocation.plan(alert)
    for about in AccessObject.objects.all():
        delete(about, by="jane")
    response = as_ana.post(reverse("alerts:revoke_check", args=[alert.pk]), follow=True)
    assert "Deleted by jane at" in response.content.decode()
    answer = alert.steps.get(key="revoke").answer()
    assert answer is not None
    assert (answer.outcome, answer.by and answer.by.username) == ("revoked", "ana")
    ended = revocation.finished(alert)
    assert ended is not None
    assert ended.state == Revocation.State.DONE


def test_a_deletion_whose_event_does_not_tell_it_from_a_rehearsal_proves_nothing(as_ana: Client, alert: Alert) -> None:
    revocation.plan(alert)
    for about in AccessObject.objects.all():
        delete(about, by="jane", known=False)
    response = as_ana.post(reverse("alerts:revoke_check", args=[alert.pk]), follow=True)
    assert "the audit policy hides whether it was a rehearsal" in response.content.decode()
    assert alert.steps.get(key="revoke").outcome == ""


def test_a_binding_that_was_made_later_keeps_the_check_from_passing(as_ana: Client, alert: Alert) -> None:
    revocation.plan(alert)
    for about in AccessObject.objects.all():
        delete(about, by="jane")
    reference = {"roleRef": {"kind": "ClusterRole", "name": "metrics-scraper-v2"}}
    see(alert.cluster, "ClusterRoleBinding", "again", "c-uid", reference)
    response = as_ana.post(reverse("alerts:revoke_check", args=[alert.pk]), follow=True)
    assert "ClusterRoleBinding again: It refers to the role" in response.content.decode()
    assert revocation.finished(alert) is None


def test_a_role_of_which_only_the_name_is_known_can_be_deleted_by_hand(as_rex: Client, cluster: Cluster) -> None:
    alert = make_alert(cluster, "only-a-name", object_uid="")
    revocation.plan(alert)
    text = as_rex.get(page(alert)).content.decode()
    assert "uid unknown" in text
    assert "--arg name only-a-name" in text
    assert "kubectl delete --raw /apis/rbac.authorization.k8s.io/v1/clusterroles/only-a-name -f -" in text


def test_what_the_audit_events_say_is_gone_already_can_be_recorded(as_ana: Client, alert: Alert) -> None:
    for about in AccessObject.objects.all():
        delete(about, by="jane")
    planned = revocation.plan(alert)
    assert planned.effects["gone"]
    assert "As far as the audit events tell, it is gone already." in as_ana.get(page(alert)).content.decode()
    as_ana.post(reverse("alerts:revoke_check", args=[alert.pk]))
    assert alert.steps.get(key="revoke").outcome == "revoked"


def test_names_an_attacker_chose_are_shown_escaped_and_commands_stay_one_command(
    as_rex: Client, cluster: Cluster
) -> None:
    alert = remembered_alert(cluster, HOSTILE)
    revocation.plan(alert)
    text = as_rex.get(page(alert)).content.decode()
    assert "<img" not in text
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text
    assert "clusterroles/%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E" in text


def test_looking_changes_nothing(as_rex: Client, alert: Alert) -> None:
    revocation.plan(alert)
    before = list(Revocation.objects.values())
    version = alert.version
    for name in ("revoke", "revoke_progress", "revoke_button"):
        assert as_rex.get(reverse(f"alerts:{name}", args=[alert.pk])).status_code == 200
    for name in ("revoke_plan", "revoke_call_off", "revoke_check"):
        assert as_rex.get(reverse(f"alerts:{name}", args=[alert.pk])).status_code == 405
    alert.refresh_from_db()
    assert list(Revocation.objects.values()) == before
    assert alert.version == version


@pytest.mark.parametrize(
    ("person", "allowed"),
    [("vic", set()), ("ana", {"revoke_plan", "revoke_check"}), ("ada", {"revoke_plan", "revoke_check"}), ("rex", None)],
)
def test_each_group_may_do_what_its_permissions_say(
    request: pytest.FixtureRequest, alert: Alert, person: str, allowed: set[str] | None
) -> None:
    revocation.plan(alert)
    client = request.getfixturevalue(f"as_{person}")
    for name in ("revoke", "revoke_plan", "revoke_call_off", "revoke_check"):
        refused = allowed is not None and name not in allowed
        assert (post(client, alert, name) == 403) is refused, name
    assert client.get(page(alert)).status_code == 200


def test_a_post_without_its_token_is_refused(rex: User, alert: Alert) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(rex)
    for name in ("revoke", "revoke_plan", "revoke_call_off", "revoke_check"):
        assert post(client, alert, name) == 403


def test_the_manifests_can_be_taken_away_by_those_who_triage(as_ana: Client, as_vic: Client, alert: Alert) -> None:
    planned = revocation.plan(alert)
    address = reverse("alerts:revoke_manifests", args=[alert.pk, planned.pk])
    stored = as_ana.get(address).json()
    assert [item["kind"] for item in stored["items"]] == ["ClusterRole", "ClusterRoleBinding"]
    assert as_vic.get(address).status_code == 403


def test_an_attempt_that_was_refused_leaves_nothing_to_plan(as_rex: Client, cluster: Cluster) -> None:
    alert = make_alert(cluster, "never-made", attempted=True)
    assert "nothing was made that could be revoked" in as_rex.get(page(alert)).content.decode()
    with pytest.raises(revocation.NothingToRevoke):
        revocation.plan(alert)


def test_an_alert_without_a_named_object_says_so(as_rex: Client, cluster: Cluster) -> None:
    alert = make_alert(cluster, "unnamed", object=None)
    assert "does not name the object" in as_rex.get(page(alert)).content.decode()


def delete(about: AccessObject, *, by: str, known: bool = True) -> None:
    event = AuditEvent.objects.create(
        cluster=about.cluster,
        sha256=about.digest,
        audit_id="1",
        at=timezone.now(),
        verb="delete",
        username=by,
        body={},
    )
    AccessVersion.objects.create(object=about, source="event", event=event, deletion=known)
