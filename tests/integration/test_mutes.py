"""Mutes: what they hide and never hide, their end, and that the database refuses what must not be."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from alerts import tasks
from alerts.lifecycle import Verdict
from alerts.models import Activity, Alert, AuditEvent, Cluster, Mute, Watch
from alerts.services import mutes, queue, workflow
from alerts.services.mutes import MuteRefused, Scope
from tests.factories import make_alert

CERTKEEPER = Scope(object="ClusterRole certkeeper-*")


def begin(scope: Scope, by: User, **changes: Any) -> Mute:
    values: dict[str, Any] = {"reason": "A known release.", "days": 7, "covers_critical": False, "by": by}
    return mutes.begin(scope, **(values | changes))


def opened(cluster: Cluster, name: str, **fields: Any) -> Alert:
    """Open an alert, and let its severity become known."""
    alert = make_alert(cluster, name, **({"severity": "medium", "score": 40} | fields))
    considered(alert, first=True)
    return alert


def considered(alert: Alert, *, first: bool) -> None:
    mutes.consider(alert, first=first)
    alert.evidence_at = timezone.now()
    alert.save()


def shown(by: User, **filters: str) -> list[str]:
    return [row.alert.object.name for row in queue.loaded(queue.Filter(**filters).rows(seen_by=by)) if row.alert.object]


def test_what_opens_while_it_runs_is_muted_kept_and_counted(cluster: Cluster, ana: User) -> None:
    mute = begin(CERTKEEPER, ana)
    alert, other = opened(cluster, "certkeeper-view"), opened(cluster, "other")
    assert (alert.muted_by, other.muted_by) == (mute, None)
    assert shown(ana) == ["other"]
    assert queue.Filter().muted_count(seen_by=ana) == 1
    assert shown(ana, muted="only") == ["certkeeper-view"]
    assert sorted(shown(ana, muted="any")) == ["certkeeper-view", "other"]
    record = alert.activities.get(kind="muted")
    assert record.detail["reason"] == "A known release."


def test_what_is_open_when_it_begins_is_muted_too_but_not_what_somebody_works_on(
    cluster: Cluster, ana: User, ben: User
) -> None:
    waiting, mine, bens = (opened(cluster, f"certkeeper-{name}") for name in ("waiting", "mine", "bens"))
    workflow.take(mine, by=ana, version=1)
    workflow.take(bens, by=ben, version=1)
    begin(CERTKEEPER, ana)
    assert sorted(shown(ana, owner="any")) == ["certkeeper-bens"]
    assert {alert.pk for alert in Alert.objects.exclude(muted_by=None)} == {waiting.pk, mine.pk}


def test_the_rest_of_a_flood_is_muted_in_the_background(
    cluster: Cluster, ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutes, "AT_ONCE", 2)
    for number in range(5):
        opened(cluster, f"certkeeper-{number}")
    mute = begin(CERTKEEPER, ana)
    assert (mute.alerts.count(), mutes.unapplied()) == (2, [mute.pk])
    for _ in range(2):
        tasks.apply_mute(mute.pk)
        assert (mute.alerts.count(), mutes.unapplied()) == (5, [])
    assert Activity.objects.filter(kind="muted", alert__isnull=False).count() == 5


def test_the_narrowest_mute_of_an_object_named_with_a_star_hides_no_other(cluster: Cluster, ana: User) -> None:
    starred = make_alert(cluster, "*", severity="high", score=70, evidence_at=timezone.now())
    other = make_alert(cluster, "secret-thief", severity="high", score=84, evidence_at=timezone.now())
    mute = mutes.begin(Scope.of(starred), reason="known", days=1, covers_critical=False, by=ana)
    assert str(mute).endswith(r"ClusterRole \*")
    assert mutes.hides(mute, starred)
    assert not mutes.hides(mute, other)


def test_critical_alerts_stay_visible(cluster: Cluster, ana: User) -> None:
    begin(CERTKEEPER, ana)
    assert opened(cluster, "certkeeper-view", severity="critical").muted_by is None


def test_a_mute_of_one_object_and_actor_hides_even_critical_where_that_is_confirmed(
    cluster: Cluster, ana: User
) -> None:
    exact = Scope(cluster, "", "ci-deployer", "ClusterRole certkeeper-view")
    unconfirmed = begin(exact, ana)
    assert opened(cluster, "certkeeper-view", severity="critical").muted_by is None
    mutes.end(unconfirmed, by=ana)
    mute = begin(exact, ana, covers_critical=True)
    assert Alert.objects.get().muted_by == mute
    assert opened(cluster, "certkeeper-view", severity="critical", actor="jane", fingerprint="2").muted_by is None


@pytest.mark.parametrize(
    "change", [{"cluster": None}, {"actor": "ci-*"}, {"actor": ""}, {"object": "ClusterRole *"}, {"object": ""}]
)
def test_anything_wider_cannot_hide_critical_alerts(cluster: Cluster, ana: User, change: dict[str, Any]) -> None:
    values: dict[str, Any] = {"cluster": cluster, "actor": "ci-deployer", "object": "ClusterRole certkeeper-view"}
    values |= change
    if not (values["actor"] or values["object"]):
        values["detection"] = "cluster_role_created"
    with pytest.raises(MuteRefused, match="without \\*"):
        begin(Scope(**values), ana, covers_critical=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        Mute.objects.create(
            **values, covers_critical=True, reason="x", created_by=ana, expires_at=timezone.now() + timedelta(days=1)
        )


def test_an_alert_that_turns_critical_comes_back(cluster: Cluster, ana: User) -> None:
    begin(CERTKEEPER, ana)
    alert = opened(cluster, "certkeeper-view")
    alert.severity = Alert.Severity.CRITICAL
    considered(alert, first=False)
    assert shown(ana) == ["certkeeper-view"]
    assert alert.activities.filter(kind="unmuted").exists()


def test_what_comes_back_after_a_revoke_is_shown_though_it_is_muted(cluster: Cluster, ana: User) -> None:
    begin(CERTKEEPER, ana)
    alert = opened(cluster, "certkeeper-view")
    now = timezone.now()
    row = AuditEvent.objects.create(cluster=cluster, sha256="0" * 64, audit_id="x", at=now, verb="create", body={})
    Watch.objects.create(
        alert=alert, condition="returns", name="certkeeper-view", until=now, tripped_at=now, tripped_by=row
    )
    assert shown(ana) == ["certkeeper-view"]


def test_when_it_expires_nothing_comes_back_and_nothing_new_is_muted(cluster: Cluster, ana: User) -> None:
    mute = begin(CERTKEEPER, ana)
    muted = opened(cluster, "certkeeper-view")
    earlier = timezone.now() - timedelta(days=8)
    Mute.objects.filter(pk=mute.pk).update(created_at=earlier, expires_at=earlier + timedelta(days=7))
    considered(muted, first=False)
    assert muted.muted_by == mute
    assert opened(cluster, "certkeeper-edit").muted_by is None
    assert shown(ana) == ["certkeeper-edit"]


def test_it_can_be_ended_early_and_its_open_alerts_brought_back(cluster: Cluster, ana: User, ben: User) -> None:
    mute = begin(CERTKEEPER, ana)
    closed, waiting = opened(cluster, "certkeeper-view"), opened(cluster, "certkeeper-edit")
    workflow.close(closed, Verdict.DUPLICATE, by=ana, version=1, reason="x")
    assert mutes.end(mute, by=ben) == 0
    assert opened(cluster, "certkeeper-new").muted_by is None
    waiting.refresh_from_db()
    assert waiting.muted_by == mute
    assert mutes.end(mute, by=ana, bring_back=True) == 1
    mute.refresh_from_db()
    assert mute.ended_by == ben
    assert sorted(shown(ana)) == ["certkeeper-edit", "certkeeper-new"]
    assert waiting.activities.get(kind="unmuted").by == ana


def test_the_preview_counts_what_it_would_have_hidden(cluster: Cluster, ana: User) -> None:
    alerts: dict[str, dict[str, Any]] = {
        "certkeeper-a": {},
        "certkeeper-b": {"severity": "critical"},
        "certkeeper-c": {"opened_at": timezone.now() - timedelta(days=31)},
        "certkeeper-d": {},
        "other": {},
    }
    for name, fields in alerts.items():
        opened(cluster, name, **fields)
    caught = Alert.objects.get(title__contains="certkeeper-d")
    for key in ("creator", "permissions", "use", "policies", "remedy", "revoke", "watch", "tell"):
        caught.steps.filter(key=key).update(outcome="x")
    workflow.close(caught, Verdict.MALICIOUS, by=ana, version=1, reason="x")
    preview, examples = mutes.preview(CERTKEEPER, by=ana)
    assert (preview.hidden, preview.malicious, preview.critical) == (2, 1, 1)
    assert len(examples) == 3
    assert begin(CERTKEEPER, ana).preview == preview.as_json()


def test_it_hides_as_many_open_alerts_as_its_preview_says(cluster: Cluster, ana: User, ben: User) -> None:
    forgotten: dict[str, Any] = {"opened_at": timezone.now() - timedelta(days=31)}
    opened(cluster, "certkeeper-new")
    opened(cluster, "certkeeper-old", **forgotten)
    opened(cluster, "certkeeper-grave", severity="critical", **forgotten)
    workflow.take(opened(cluster, "certkeeper-bens"), by=ben, version=1)
    preview, _ = mutes.preview(CERTKEEPER, by=ana)
    assert (preview.hidden, preview.open, preview.critical) == (2, 2, 1)
    mute = begin(CERTKEEPER, ana)
    assert Alert.objects.filter(muted_by=mute).count() == preview.open
    assert mutes.preview(CERTKEEPER, by=ana)[0].open == 0


@pytest.mark.parametrize(
    ("scope", "changes", "problem"),
    [
        (Scope(), {}, "would hide an attack"),
        (Scope(actor="*", object=" "), {}, "would hide an attack"),
        (CERTKEEPER, {"reason": " "}, "in a sentence"),
        (CERTKEEPER, {"days": 91}, "between 1 and 90 days"),
        (CERTKEEPER, {"days": 0}, "between 1 and 90 days"),
        (Scope(object="x" * 1001), {}, "1,000 characters"),
    ],
)
def test_without_bounds_it_is_refused(ana: User, scope: Scope, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(MuteRefused, match=problem):
        begin(scope, ana, **changes)
    assert not Mute.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"expires_at": timezone.now() + timedelta(days=91)},
        {"expires_at": timezone.now() - timedelta(days=1)},
        {"object": ""},
        {"reason": ""},
    ],
)
def test_the_database_refuses_it_too(ana: User, change: dict[str, Any]) -> None:
    values = {"object": "x", "reason": "x", "created_by": ana, "expires_at": timezone.now() + timedelta(days=90)}
    Mute.objects.create(**values, created_at=timezone.now())
    with pytest.raises(IntegrityError), transaction.atomic():
        Mute.objects.create(**(values | change))
