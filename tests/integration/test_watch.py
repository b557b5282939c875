"""Watches: what trips them, what does not, and what they do to their alert."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from alerts.lifecycle import Status, Verdict
from alerts.models import Alert, Cluster, Stakeholder, Watch
from alerts.services import delivery, inbox, intake, queue, tripwire, watch, workflow
from alerts.services.draft import Draft
from tests.factories import make_alert
from tests.recorded import ATTACK, as_list, events, gathered, take_in

NEW_UID = "11111111-0000-4000-8000-000000000000"


@pytest.fixture
def attack(cluster: Cluster) -> Alert:
    alert, *_ = take_in(cluster, as_list(events(ATTACK)))
    return alert


@pytest.fixture
def watched(attack: Alert, ana: User) -> Alert:
    """The alert, watched and then closed."""
    watch.start(attack, by=ana, days=30)
    for step in attack.steps.all():
        workflow.answer(attack, step.key, step.definition.outcomes[0].key, by=ana, version=fresh(attack).version)
    workflow.close(attack, Verdict.MALICIOUS, by=ana, version=fresh(attack).version, reason="Revoked.")
    return fresh(attack)


def fresh(alert: Alert) -> Alert:
    return Alert.objects.get(pk=alert.pk)


def again(place: int, *, uid: str = NEW_UID, **changes: Any) -> dict[str, Any]:
    """Return a recorded request made again now, with another uid in its answer."""
    event = events(ATTACK)[place]
    if uid:
        event["responseObject"]["metadata"]["uid"] = uid
        event["responseObject"]["metadata"]["resourceVersion"] = "9000"
    now = (timezone.now() + timedelta(seconds=5)).isoformat()
    return event | {"requestReceivedTimestamp": now, "stageTimestamp": now, "auditID": "again"} | changes


def elsewhere(event: dict[str, Any], *, to: str = "someone-new") -> dict[str, Any]:
    """Return the creation of a binding as one of another name, to another service account of kube-system."""
    answer = event["responseObject"]
    event["objectRef"]["name"] = answer["metadata"]["name"] = "something-else"
    answer["subjects"] = [{"kind": "ServiceAccount", "name": to, "namespace": "kube-system"}]
    answer["metadata"] |= {"uid": "33333333-0000-4000-8000-000000000000", "resourceVersion": "9001"}
    return event


ROLE, ACCOUNT, BINDING = 4, 5, 6
BOB = {"username": "bob", "groups": ["system:authenticated"]}


def tripped(alert: Alert) -> list[tuple[str, str]]:
    return [(each.condition, each.name) for each in alert.watches.exclude(tripped_at=None)]


def test_starting_watches_the_role_its_binding_and_its_maker(attack: Alert, ana: User) -> None:
    watches = watch.start(attack, by=ana, days=7)
    assert [(each.condition, each.kind, each.name) for each in watches] == [
        ("returns", "ClusterRole", "metrics-scraper-v2"),
        ("returns", "ClusterRoleBinding", "metrics-scraper-v2"),
        ("gains", "ServiceAccount", "metrics-scraper"),
        ("actor_writes", "", "ci-deployer"),
    ]
    assert all(timedelta(days=6.9) < each.until - timezone.now() <= timedelta(days=7) for each in watches)
    assert attack.activities.filter(kind="watching", by=ana).exists()
    assert fresh(attack).evidence["watch"]["chips"] == [["good", "Watching"]]


def test_starting_twice_watches_longer_and_not_twice(attack: Alert, ana: User) -> None:
    watch.start(attack, by=ana, days=30)
    watch.start(attack, by=ana, days=7)
    assert attack.watches.count() == 4
    assert all(each.until > timezone.now() + timedelta(days=29) for each in attack.watches.all())


@pytest.mark.parametrize(("days", "watched_for"), [(0, 1), (-5, 1), (10_000, 365)])
def test_no_watch_is_endless_or_over_at_once(attack: Alert, ana: User, days: int, watched_for: int) -> None:
    for each in watch.start(attack, by=ana, days=days):
        assert timedelta(0) <= timezone.now() + timedelta(days=watched_for) - each.until < timedelta(minutes=1)


def test_a_role_that_returns_reopens_the_alert(watched: Alert, cluster: Cluster) -> None:
    take_in(cluster, as_list([again(ROLE, user=BOB)]))
    alert = fresh(watched)
    assert tripped(alert) == [("returns", "metrics-scraper-v2")]
    assert (alert.status, alert.verdict, alert.closed_at) == (Status.IN_PROGRESS, "", None)
    assert alert.version == watched.version + 1
    assert alert.evidence_due
    assert alert.evidence["watch"]["chips"] == [["critical", "Tripped"]]
    summaries = list(alert.activities.order_by("-pk").values_list("summary", flat=True)[:2])
    assert summaries == [
        "reopened it: ClusterRole metrics-scraper-v2 returned",
        "ClusterRole metrics-scraper-v2 returned",
    ]


def test_a_binding_that_returns_reopens_the_alert(watched: Alert, cluster: Cluster) -> None:
    take_in(cluster, as_list([again(BINDING, user=BOB)]))
    (one,) = fresh(watched).watches.exclude(tripped_at=None)
    assert (one.kind, one.tripped_by and one.tripped_by.username) == ("ClusterRoleBinding", "bob")
    assert fresh(watched).is_open()


def test_a_return_by_server_side_apply_is_a_return(watched: Alert, cluster: Cluster) -> None:
    take_in(cluster, as_list([again(ROLE, user=BOB, verb="patch")]))
    assert fresh(watched).is_open()


def test_a_return_at_level_metadata_is_a_return(watched: Alert, cluster: Cluster) -> None:
    event = again(ROLE, uid="", user=BOB, level="Metadata")
    take_in(cluster, as_list([{key: value for key, value in event.items() if not key.endswith("Object")}]))
    assert fresh(watched).is_open()


def test_a_return_between_the_revoke_and_its_watch_is_noticed(attack: Alert, cluster: Cluster, ana: User) -> None:
    moment = (timezone.now() - timedelta(seconds=2)).isoformat()
    watch.start(attack, by=ana)
    take_in(cluster, as_list([again(ROLE, user=BOB, requestReceivedTimestamp=moment)]))
    assert tripped(attack) == [("returns", "metrics-scraper-v2")]


def test_the_makers_next_write_reopens_the_alert(watched: Alert, cluster: Cluster) -> None:
    event = elsewhere(again(BINDING, uid=""))
    take_in(cluster, as_list([event]))
    assert tripped(fresh(watched)) == [("actor_writes", "ci-deployer")]
    assert fresh(watched).is_open()


def test_the_makers_refused_attempt_counts_too(watched: Alert, cluster: Cluster) -> None:
    event = again(ROLE, uid="", responseStatus={"code": 403}, responseObject={"kind": "Status", "code": 403})
    take_in(cluster, as_list([event]))
    assert fresh(watched).activities.filter(summary="ci-deployer tried to write RBAC again").exists()


def test_it_counts_when_somebody_impersonates_the_maker(watched: Alert, cluster: Cluster) -> None:
    event = elsewhere(again(BINDING, uid="", user=BOB, impersonatedUser={"username": "ci-deployer"}))
    take_in(cluster, as_list([event]))
    assert tripped(fresh(watched)) == [("actor_writes", "ci-deployer")]


def test_another_grant_to_a_holder_reopens_the_alert(watched: Alert, cluster: Cluster) -> None:
    take_in(cluster, as_list([elsewhere(again(BINDING, user=BOB), to="metrics-scraper")]))
    assert tripped(fresh(watched)) == [("gains", "metrics-scraper")]
    summary = "service account kube-system/metrics-scraper was given something else"
    assert fresh(watched).activities.filter(kind="tripped", summary=summary).exists()
    assert fresh(watched).is_open()


def test_a_grant_to_the_group_of_a_holder_is_a_grant_to_the_holder(watched: Alert, cluster: Cluster) -> None:
    event = elsewhere(again(BINDING, user=BOB))
    event["responseObject"]["subjects"] = [{"kind": "Group", "name": "system:serviceaccounts:kube-system"}]
    take_in(cluster, as_list([event]))
    assert tripped(fresh(watched)) == [("gains", "metrics-scraper")]


def test_a_binding_that_loses_a_subject_gives_nobody_anything(watched: Alert, cluster: Cluster) -> None:
    first = elsewhere(again(BINDING, user=BOB), to="other")
    first["responseObject"]["subjects"] += [{"kind": "User", "name": "bob"}]
    fewer = elsewhere(again(BINDING, user=BOB, verb="patch", responseStatus={"code": 200}, auditID="fewer"), to="other")
    fewer["responseObject"]["metadata"]["resourceVersion"] = "9002"
    take_in(cluster, as_list([first, fewer]))
    assert tripped(fresh(watched)) == []


def widened(*, verbs: list[str]) -> dict[str, Any]:
    """Return a change of a role that a standing binding gives to the holder."""
    event = again(ROLE, user=BOB, verb="patch", responseStatus={"code": 200}, auditID=f"changed to {verbs}")
    answer = event["responseObject"]
    event["objectRef"]["name"] = answer["metadata"]["name"] = "held-besides"
    answer["metadata"] |= {"uid": "44444444-0000-4000-8000-000000000000", "resourceVersion": f"95{len(verbs)}"}
    answer["rules"] = [{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}]
    return event


@pytest.mark.parametrize(("verbs", "trips"), [(["get", "list"], True), (["get"], False)])
def test_a_role_of_a_holder_that_is_widened_reopens_the_alert(
    attack: Alert, cluster: Cluster, ana: User, verbs: list[str], *, trips: bool
) -> None:
    before = elsewhere(again(BINDING, user=BOB), to="metrics-scraper")
    before["responseObject"]["roleRef"]["name"] = "held-besides"
    take_in(cluster, as_list([widened(verbs=["get"]), before]))
    with time_machine.travel(timezone.now() + timedelta(minutes=1), tick=True):
        watch.start(attack, by=ana)
        change = widened(verbs=verbs)
        change["responseObject"]["metadata"]["resourceVersion"] = "9999"
        take_in(cluster, as_list([change]))
    assert tripped(fresh(attack)) == ([("gains", "metrics-scraper")] if trips else [])


def daemon_set_again(**changes: Any) -> dict[str, Any]:
    (made,) = [event for event in events(ATTACK) if event.get("objectRef", {}).get("name") == "node-exporter-x"]
    now = (timezone.now() + timedelta(seconds=5)).isoformat()
    return made | {"requestReceivedTimestamp": now, "stageTimestamp": now, "auditID": "again", "user": BOB} | changes


@pytest.fixture
def remedied(attack: Alert, ana: User) -> Alert:
    """The alert with what was left behind, watched."""
    alert = gathered(attack)
    watch.start(alert, by=ana)
    return alert


def test_what_was_left_behind_and_returns_reopens_the_alert(remedied: Alert, cluster: Cluster) -> None:
    take_in(cluster, as_list([daemon_set_again()]))
    alert = fresh(remedied)
    assert tripped(alert) == [("remains", "node-exporter-x")]
    assert alert.events.filter(resource="daemonsets", name="node-exporter-x", username="bob").count() == 1
    assert alert.activities.filter(summary="DaemonSet kube-system/node-exporter-x returned").exists()


@pytest.mark.parametrize(
    "changes",
    [{"verb": "patch", "responseStatus": {"code": 200}}, {"responseStatus": {"code": 409}}],
    ids=["changed", "exists already"],
)
def test_what_was_left_behind_and_never_went_does_not_return(
    remedied: Alert, cluster: Cluster, changes: dict[str, Any]
) -> None:
    take_in(cluster, as_list([daemon_set_again(**changes)]))
    assert tripped(fresh(remedied)) == []


def test_what_the_investigation_finds_later_is_watched_too(attack: Alert, ana: User) -> None:
    watch.start(attack, by=ana, days=7)
    alert = gathered(attack)
    (found,) = alert.watches.filter(name="node-exporter-x")
    assert found.until == alert.watches.get(condition="actor_writes").until
    watch.end(found, by=ana)
    gathered(alert)
    assert alert.watches.filter(name="node-exporter-x").count() == 1


def test_those_who_were_told_are_told_of_the_return_once(watched: Alert, cluster: Cluster, ana: User) -> None:
    it = Stakeholder.objects.create(name="IT", group="it", email="it@example.org")
    Stakeholder.objects.create(name="Security", group="security", email="security@example.org")
    delivery.tell(watched, [it], {"it": Draft("Role", "Look.")}, by=ana, version=watched.version)
    body = as_list([again(ROLE, user=BOB)])
    (batch, _) = inbox.store_leased(cluster, body)
    outcome = intake.examine(batch)
    (told,) = outcome.told
    assert (told.recipient, told.state, told.created_by) == ("IT", "queued", None)
    assert told.subject.startswith("Again: [")
    assert told.text.startswith("ClusterRole metrics-scraper-v2 returned. The alert is open again")
    assert intake.examine(batch).told == ()
    assert fresh(watched).notifications.count() == 2
    assert fresh(watched).activities.filter(summary="told IT (Email) of the return", by=None).exists()


def test_where_nobody_was_told_security_is(watched: Alert, cluster: Cluster) -> None:
    for group in ("security", "management"):
        Stakeholder.objects.create(name=group, group=group, email=f"{group}@example.org")
    take_in(cluster, as_list([again(ROLE, user=BOB)]))
    assert [each.recipient for each in fresh(watched).notifications.all()] == ["security"]


def test_the_alert_and_the_one_of_the_return_link_to_each_other(
    watched: Alert, cluster: Cluster, as_vic: Client
) -> None:
    (new,) = take_in(cluster, as_list([again(ROLE, user=BOB)]))
    assert tripwire.returned_by(new) == [watched]
    assert tripwire.returned_by(watched) == []
    assert f'href="{new.get_absolute_url()}"' in as_vic.get(watched.get_absolute_url()).content.decode()
    assert f'href="{watched.get_absolute_url()}"' in as_vic.get(new.get_absolute_url()).content.decode()


def test_a_return_is_at_the_top_of_the_queue(watched: Alert, cluster: Cluster, ana: User) -> None:
    make_alert(cluster, "worse", score=100)
    take_in(cluster, as_list([again(BINDING, user=BOB)]))
    assert queue.Filter().alerts(seen_by=ana).first() == watched


def test_a_watch_is_extended_but_never_endlessly(attack: Alert, ana: User) -> None:
    watch.start(attack, by=ana, days=10)
    for each in watch.extend(attack, by=ana, days=20):
        assert timedelta(days=29.9) < each.until - timezone.now() <= timedelta(days=30)
    watch.extend(attack, by=ana, days=365)
    assert all(each.until - timezone.now() <= timedelta(days=365) for each in attack.watches.all())
    assert attack.activities.filter(summary__startswith="watches longer, until ", by=ana).count() == 2


def test_what_is_over_is_not_extended(attack: Alert, ana: User) -> None:
    watch.start(attack, by=ana, days=1)
    with time_machine.travel(timezone.now() + timedelta(days=2), tick=True):
        assert watch.extend(attack, by=ana) == []
        assert not any(each.is_running() for each in attack.watches.all())


def our_own_delete(place: int) -> dict[str, Any]:
    name = "metrics-scraper-v2"
    event = again(
        place,
        uid="",
        verb="delete",
        user={"username": "system:serviceaccount:rolecall:rolecall", "groups": ["system:authenticated"]},
        responseStatus={"code": 200},
        responseObject={"kind": "Status", "status": "Success", "details": {"name": name}},
    )
    del event["requestObject"]
    return event


@pytest.mark.parametrize("place", [ROLE, BINDING])
def test_our_own_revoke_trips_nothing(watched: Alert, cluster: Cluster, place: int) -> None:
    take_in(cluster, as_list([our_own_delete(place)]))
    assert tripped(fresh(watched)) == []
    assert not fresh(watched).is_open()


@pytest.mark.parametrize(
    "event",
    [
        again(ROLE, user=BOB, requestURI="/apis/rbac.authorization.k8s.io/v1/clusterroles?dryRun=All"),
        again(ROLE, uid="", user=BOB, responseStatus={"code": 403}),
        again(ROLE, uid="", user=BOB, verb="patch", responseStatus={"code": 200}),
        again(ACCOUNT, uid=""),
        events(ATTACK)[ROLE],
        events(ATTACK)[ROLE] | {"auditID": "other"},
    ],
    ids=["dry run", "refused", "changed, not created", "no RBAC", "delivered again", "the same uid again"],
)
def test_what_is_no_return_trips_nothing(watched: Alert, cluster: Cluster, event: dict[str, Any]) -> None:
    take_in(cluster, as_list([event]))
    assert tripped(fresh(watched)) == []


def test_another_cluster_trips_nothing(watched: Alert) -> None:
    other = Cluster(name="elsewhere")
    other.issue_hook_token()
    other.save()
    take_in(other, as_list([again(ROLE)]))
    assert tripped(fresh(watched)) == []


def test_a_watch_trips_once(watched: Alert, cluster: Cluster, ana: User) -> None:
    take_in(cluster, as_list([again(ROLE, user=BOB)]))
    first = fresh(watched).activities.filter(kind="tripped").count()
    other = "22222222-0000-4000-8000-000000000000"
    take_in(cluster, as_list([again(ROLE, uid=other, user=BOB, auditID="third")]))
    assert fresh(watched).activities.filter(kind="tripped").count() == first


def test_a_watch_that_is_over_trips_nothing(watched: Alert, cluster: Cluster) -> None:
    with time_machine.travel(timezone.now() + timedelta(days=31), tick=True):
        take_in(cluster, as_list([again(ROLE, user=BOB)]))
    assert tripped(fresh(watched)) == []


def test_a_watch_that_was_ended_trips_nothing(watched: Alert, cluster: Cluster, ana: User) -> None:
    for each in watched.watches.all():
        watch.end(each, by=ana)
        watch.end(each, by=ana)
    take_in(cluster, as_list([again(ROLE, user=BOB)]))
    assert tripped(fresh(watched)) == []
    assert watched.activities.filter(summary__startswith="ended the watch").count() == 4


def test_an_open_alert_that_trips_stays_as_it_is(attack: Alert, cluster: Cluster, ana: User) -> None:
    watch.start(attack, by=ana)
    take_in(cluster, as_list([again(ROLE, user=BOB)]))
    assert fresh(attack).status == Status.NEW
    assert Watch.objects.exclude(tripped_at=None).count() == 1
