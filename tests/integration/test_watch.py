"""Watches: what trips them, what does not, and what they do to their alert."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone

from alerts.lifecycle import Status, Verdict
from alerts.models import Alert, Cluster, Watch
from alerts.services import watch, workflow
from tests.recorded import ATTACK, as_list, events, take_in

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


ROLE, ACCOUNT, BINDING = 4, 5, 6
BOB = {"username": "bob", "groups": ["system:authenticated"]}


def tripped(alert: Alert) -> list[tuple[str, str]]:
    return [(each.condition, each.name) for each in alert.watches.exclude(tripped_at=None)]


def test_starting_watches_the_role_its_binding_and_its_maker(attack: Alert, ana: User) -> None:
    watches = watch.start(attack, by=ana, days=7)
    assert [(each.condition, each.kind, each.name) for each in watches] == [
        ("returns", "ClusterRole", "metrics-scraper-v2"),
        ("returns", "ClusterRoleBinding", "metrics-scraper-v2"),
        ("actor_writes", "", "ci-deployer"),
    ]
    assert all(timedelta(days=6.9) < each.until - timezone.now() <= timedelta(days=7) for each in watches)
    assert attack.activities.filter(kind="watching", by=ana).exists()
    assert fresh(attack).evidence["watch"]["chips"] == [["good", "Watching"]]


def test_starting_twice_watches_longer_and_not_twice(attack: Alert, ana: User) -> None:
    watch.start(attack, by=ana, days=30)
    watch.start(attack, by=ana, days=7)
    assert attack.watches.count() == 3
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
    event = again(BINDING, uid="")
    event["objectRef"]["name"] = event["responseObject"]["metadata"]["name"] = "something-else"
    take_in(cluster, as_list([event]))
    assert tripped(fresh(watched)) == [("actor_writes", "ci-deployer")]
    assert fresh(watched).is_open()


def test_the_makers_refused_attempt_counts_too(watched: Alert, cluster: Cluster) -> None:
    event = again(ROLE, uid="", responseStatus={"code": 403}, responseObject={"kind": "Status", "code": 403})
    take_in(cluster, as_list([event]))
    assert fresh(watched).activities.filter(summary="ci-deployer tried to write RBAC again").exists()


def test_it_counts_when_somebody_impersonates_the_maker(watched: Alert, cluster: Cluster) -> None:
    event = again(BINDING, uid="", user=BOB, impersonatedUser={"username": "ci-deployer"})
    event["objectRef"]["name"] = event["responseObject"]["metadata"]["name"] = "something-else"
    take_in(cluster, as_list([event]))
    assert tripped(fresh(watched)) == [("actor_writes", "ci-deployer")]


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
    assert watched.activities.filter(summary__startswith="ended the watch").count() == 3


def test_an_open_alert_that_trips_stays_as_it_is(attack: Alert, cluster: Cluster, ana: User) -> None:
    watch.start(attack, by=ana)
    take_in(cluster, as_list([again(ROLE, user=BOB)]))
    assert fresh(attack).status == Status.NEW
    assert Watch.objects.exclude(tripped_at=None).count() == 1
