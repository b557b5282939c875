"""What a listing shows and no event explains."""

from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine

from alerts import rbac
from alerts.models import AccessVersion, Activity, Alert, Batch, Cluster
from alerts.services import inbox, intake, reconciliation
from tests.integration.reconciliation.conftest import Listed
from tests.unit.audit.events import RULES, UID, creation, event_list, metadata_only, role
from tests.unit.detections.examples import bare

EVERYTHING = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
OTHER = "7d1f3c52-0000-4000-8000-0000000000b1"


def written(verb: str = "patch", **changes: Any) -> dict[str, Any]:
    """Return an event of now that wrote the role."""
    address = "/apis/rbac.authorization.k8s.io/v1/clusterroles/reader"
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    fields = {
        "verb": verb,
        "requestURI": address,
        "responseStatus": {"code": 200},
        "responseObject": role(resourceVersion="4712"),
    }
    return creation(**(fields | {"requestReceivedTimestamp": now} | changes))


def take_in(cluster: Cluster, *events: dict[str, Any]) -> None:
    batch, _ = inbox.store_leased(cluster, event_list(*events))
    assert not intake.examine(batch).error


def test_the_first_listing_is_a_baseline(listed: Listed) -> None:
    assert AccessVersion.objects.get().explanation == "baseline"
    assert listed(role()) == []


@pytest.mark.parametrize(
    ("now", "title"),
    [
        ([role(resourceVersion="4712") | {"rules": [EVERYTHING]}], "reader changed"),
        ([role(resourceVersion="4712")], "reader changed"),
        ([role(), role("other", uid=OTHER)], "other appeared"),
        ([role(uid=OTHER)], "reader was replaced by another of its name"),
        ([], "reader vanished"),
    ],
)
def test_what_no_event_explains_is_an_alert(listed: Listed, now: list[dict[str, Any]], title: str) -> None:
    (alert,) = listed(*now)
    assert alert.title == f"ClusterRole {title} without an audit event"
    assert (alert.detection, alert.actor, alert.object is not None) == ("unaudited_change", "", True)
    assert alert.steps.count() == 8
    assert AccessVersion.objects.get(alert=alert).at == alert.happened_at
    assert listed(*now) == []
    assert Alert.objects.count() == 1


def test_every_further_version_is_another_alert(listed: Listed) -> None:
    for version in ("4712", "4713"):
        assert len(listed(role(resourceVersion=version))) == 1


def test_each_return_to_an_earlier_version_is_an_alert(listed: Listed) -> None:
    narrow = role(resourceVersion="4712") | {"rules": []}
    titles = [[alert.title for alert in listed(now)] for now in (narrow, role(), role(), narrow, role())]
    changed = ["ClusterRole reader changed without an audit event"]
    assert titles == [changed, changed, [], changed, changed]


def test_however_much_there_is_to_judge_nobody_waits_for_all_of_it(
    listed: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "_AT_ONCE", 2)
    committed: list[int] = []
    judgeable = reconciliation._judgeable

    def counted(cluster: Cluster) -> list[AccessVersion]:
        found = judgeable(cluster)
        committed.append(len(found))
        return found

    monkeypatch.setattr(reconciliation, "_judgeable", counted)
    opened = listed(role(), *(role(f"made-{number}", uid=f"made-{number}") for number in range(5)))
    assert len(opened) == 5
    assert committed == [2, 2, 1, 0]


def test_nothing_is_judged_before_its_event_had_its_time(cluster: Cluster, listed: Listed) -> None:
    assert listed(role(resourceVersion="4712"), wait=False) == []
    assert reconciliation.due() == []
    take_in(cluster, written())
    assert listed(role(resourceVersion="4712")) == []
    assert not Alert.objects.exists()


def test_a_batch_that_waits_may_hold_the_event(cluster: Cluster, listed: Listed, clock: time_machine.Traveller) -> None:
    batch = inbox.store(cluster, event_list(written()))
    assert listed(role(resourceVersion="4712")) == []
    assert reconciliation.due() == [cluster.pk]
    Batch.objects.filter(pk=batch.pk).update(state=Batch.State.QUARANTINED)
    (alert,) = reconciliation.reconcile(cluster)
    assert "changed" in alert.title


def test_before_a_cluster_sends_events_none_is_missing(cluster: Cluster, listed: Listed) -> None:
    Cluster.objects.update(last_event_at=None)
    assert listed(role(resourceVersion="4712")) == []
    assert AccessVersion.objects.get(resource_version="4712").explanation == "baseline"


@pytest.mark.parametrize(
    ("event", "now"),
    [
        ({}, [role(resourceVersion="4712")]),
        ({"verb": "delete"}, []),
        (
            {
                "verb": "deletecollection",
                "requestURI": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
                "objectRef": {"resource": "clusterroles", "apiGroup": "rbac.authorization.k8s.io"},
            },
            [],
        ),
        (
            {
                "verb": "create",
                "responseStatus": {"code": 201},
                "objectRef": {"resource": "clusterroles", "apiGroup": "rbac.authorization.k8s.io"},
            },
            [role(), role("reader-x7k2p", uid=OTHER)],
        ),
    ],
)
def test_an_event_without_bodies_explains_what_it_may_have_made(
    cluster: Cluster, listed: Listed, clock: time_machine.Traveller, event: dict[str, Any], now: list[Any]
) -> None:
    clock.shift(60)
    take_in(cluster, metadata_only(written(**event)))
    assert listed(*now) == []
    assert not Alert.objects.filter(detection="unaudited_change").exists()


@pytest.mark.parametrize("status", [{"code": 504}, {"code": 500}])
@pytest.mark.parametrize(
    ("verb", "now"),
    [("patch", [role(resourceVersion="4712") | {"rules": [EVERYTHING]}]), ("delete", []), ("patch", [role()])],
)
def test_an_event_that_may_have_been_carried_out_explains_what_it_may_have_made(
    cluster: Cluster,
    listed: Listed,
    clock: time_machine.Traveller,
    verb: str,
    now: list[dict[str, Any]],
    status: dict[str, int],
) -> None:
    clock.shift(60)
    take_in(cluster, written(verb, responseStatus=status, responseObject={"kind": "Status"}))
    assert listed(*now) == []
    (alert,) = Alert.objects.all()
    assert f", if that was carried out: the API server answered {status['code']}" in alert.title


def test_what_may_never_have_been_created_has_not_vanished(
    cluster: Cluster, listed: Listed, clock: time_machine.Traveller
) -> None:
    clock.shift(60)
    named = {"resource": "clusterroles", "name": "ghost", "apiGroup": "rbac.authorization.k8s.io"}
    failed = {"responseStatus": {"code": 504}, "responseObject": {"kind": "Status"}, "objectRef": named}
    take_in(cluster, written("create", **failed))
    assert listed(role()) == listed(role()) == []
    clock.shift(60)
    take_in(cluster, written("create", **failed))
    assert listed(role()) == []
    clock.shift(60)
    take_in(cluster, metadata_only(written("create", objectRef=named, responseStatus={"code": 201})))
    assert [alert.title for alert in listed(role())] == ["ClusterRole ghost vanished without an audit event"]


@pytest.mark.parametrize(
    "event",
    [
        {"verb": "delete"},
        {"responseStatus": {"code": 403}},
        {"requestURI": "/apis/rbac.authorization.k8s.io/v1/clusterroles/reader?dryRun=All"},
        {"objectRef": {"resource": "clusterroles", "name": "other", "apiGroup": "rbac.authorization.k8s.io"}},
    ],
)
def test_an_event_that_cannot_have_made_it_explains_nothing(
    cluster: Cluster, listed: Listed, clock: time_machine.Traveller, event: dict[str, Any]
) -> None:
    clock.shift(60)
    take_in(cluster, metadata_only(written(**event)))
    opened = listed(role(resourceVersion="4712") | {"rules": [EVERYTHING]})
    assert "ClusterRole reader changed without an audit event" in [alert.title for alert in opened]


@pytest.mark.parametrize(("answered", "told"), [("allow", 1), ("forbid", 0)])
def test_a_collection_of_which_some_may_be_gone_explains_that_one_is(
    cluster: Cluster, listed: Listed, clock: time_machine.Traveller, answered: str, told: int
) -> None:
    clock.shift(60)
    event = written(
        "deletecollection",
        objectRef={"resource": "clusterroles", "apiGroup": "rbac.authorization.k8s.io"},
        responseStatus={"code": 409 if told else 403},
        responseObject={"kind": "Status"},
        annotations={"authorization.k8s.io/decision": answered},
    )
    take_in(cluster, event)
    assert Alert.objects.filter(detection="role_deleted").count() == told
    assert len(listed()) == 1 - told


@pytest.mark.parametrize(("sent", "explained"), [({"rules": []}, True), ({"metadata": {"labels": {}}}, False)])
def test_an_answer_that_was_asked_for_without_the_rules_explains_what_may_have_changed_them(
    cluster: Cluster, listed: Listed, clock: time_machine.Traveller, sent: dict[str, Any], *, explained: bool
) -> None:
    clock.shift(60)
    changed = role(resourceVersion="4712") | {"rules": [EVERYTHING]}
    take_in(cluster, written(requestObject=sent, responseObject=bare(changed)))
    assert Alert.objects.filter(detection="role_widened").exists() is explained
    assert bool(listed(changed)) is not explained
    assert AccessVersion.objects.filter(resource_version="4712", manifest__rules=[EVERYTHING]).exists()


def test_a_role_that_went_with_its_last_finalizer_did_not_vanish(
    cluster: Cluster, listed: Listed, clock: time_machine.Traveller
) -> None:
    clock.shift(60)
    kept = role(resourceVersion="4712", deletionTimestamp="2026-11-23T18:00:02Z", finalizers=["foregroundDeletion"])
    take_in(cluster, written("delete", responseObject=kept))
    clock.shift(1)
    freed = role(resourceVersion="4712", deletionTimestamp="2026-11-23T18:00:02Z")
    take_in(cluster, written(requestObject={"metadata": {"finalizers": None}}, responseObject=bare(freed)))
    assert listed() == []
    assert [alert.detection for alert in Alert.objects.all()] == ["role_deleted"]


@pytest.mark.parametrize(("later", "opened"), [(0, []), (600, ["ClusterRole other appeared without an audit event"])])
def test_a_creation_without_a_name_explains_no_object_that_was_made_later(
    cluster: Cluster, listed: Listed, clock: time_machine.Traveller, later: int, opened: list[str]
) -> None:
    clock.shift(60)
    unnamed = {"resource": "clusterroles", "apiGroup": "rbac.authorization.k8s.io"}
    take_in(cluster, metadata_only(written("create", objectRef=unnamed, responseStatus={"code": 201})))
    clock.shift(later)
    other = role("other", uid=OTHER, creationTimestamp=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    assert [alert.title for alert in listed(role(), other)] == opened


def test_an_event_that_shows_one_version_explains_no_other(
    cluster: Cluster, listed: Listed, clock: time_machine.Traveller
) -> None:
    clock.shift(60)
    take_in(cluster, written())
    assert len(listed(role(resourceVersion="4713"))) == 1


def test_a_deletion_that_only_a_new_uid_proves_is_an_alert(
    cluster: Cluster, listed: Listed, clock: time_machine.Traveller
) -> None:
    clock.shift(60)
    take_in(cluster, written("create", responseStatus={"code": 201}, responseObject=role(uid=OTHER)))
    (alert,) = listed(role(uid=OTHER))
    assert (alert.title, alert.object_uid) == ("ClusterRole reader vanished without an audit event", UID)
    assert listed(role(uid=OTHER)) == []


def test_a_recreation_with_both_its_events_is_none(
    cluster: Cluster, listed: Listed, clock: time_machine.Traveller
) -> None:
    clock.shift(60)
    gone = {"kind": "Status", "status": "Success", "details": {"name": "reader", "uid": UID}}
    deletion = written("delete", requestObject=None, responseObject=gone)
    clock.shift(1)
    again = written("create", responseStatus={"code": 201}, responseObject=role(uid=OTHER))
    take_in(cluster, again)
    take_in(cluster, deletion)
    assert listed(role(uid=OTHER)) == []


def test_what_came_back_from_a_backup_is_an_alert(
    cluster: Cluster, listed: Listed, clock: time_machine.Traveller
) -> None:
    clock.shift(60)
    gone = {"kind": "Status", "status": "Success", "details": {"name": "reader", "uid": UID}}
    take_in(cluster, written("delete", requestObject=None, responseObject=gone))
    clock.shift(600)
    (alert,) = listed(role())
    assert alert.title == "ClusterRole reader appeared without an audit event"
    assert listed(role()) == []


def test_aggregation_is_no_alarm_and_what_hides_behind_it_is(listed: Listed) -> None:
    rule = {"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]}
    part = role("part", uid=OTHER, labels={"to": "all"})
    whole = role("whole", uid=f"{OTHER}2") | {"aggregationRule": rule, "rules": []}
    assert len(listed(role(), part, whole)) == 2
    echo = whole | {"metadata": whole["metadata"] | {"resourceVersion": "2"}, "rules": RULES}
    assert listed(role(), part, echo) == []
    assert AccessVersion.objects.get(resource_version="2").explanation == "aggregation"
    hidden = echo | {"metadata": whole["metadata"] | {"resourceVersion": "3"}, "rules": [*RULES, EVERYTHING]}
    (alert,) = listed(role(), part, hidden)
    assert alert.title == "ClusterRole whole changed without an audit event"


def test_a_default_put_back_is_no_alarm_and_a_widened_one_is(listed: Listed) -> None:
    shipped = rbac.default_roles()["system:discovery"]
    rules = [rule.manifest() for rule in shipped.rules]

    def default(version: str, *more: dict[str, Any]) -> dict[str, Any]:
        manifest = role("system:discovery", uid=OTHER, resourceVersion=version, labels=dict(shipped.labels))
        return manifest | {"rules": [*rules, *more]}

    assert listed(role(), default("1")) == []
    (alert,) = listed(role(), default("2", EVERYTHING))
    assert alert.title == "ClusterRole system:discovery changed without an audit event"
    assert listed(role(), default("3")) == []
    found = AccessVersion.objects.filter(object__name="system:discovery").order_by("at")
    assert list(found.values_list("explanation", flat=True)) == ["default", "", "default"]


def test_an_event_that_comes_late_is_told_to_the_alert(cluster: Cluster, listed: Listed) -> None:
    event = written()
    (alert,) = listed(role(resourceVersion="4712"))
    take_in(cluster, event)
    assert reconciliation.reconcile(cluster) == []
    alert.refresh_from_db()
    assert alert.actor == "mallory@example.com"
    assert alert.events.get().verb == "patch"
    assert not alert.unaudited_versions.exists()
    assert alert.activities.filter(kind="explained").count() == 1
    reconciliation.reconcile(cluster)
    assert alert.activities.filter(kind="explained").count() == 1
    assert not Activity.objects.broken(alert)
