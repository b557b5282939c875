"""Noise, measured over the recorded scenarios: folded, known and historical, with the takeover still at the top."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from alerts.cluster.practice.recordings import shifted
from alerts.models import Alert, Cluster, KnownActor, Notification
from alerts.services import inbox, intake, known_actors, queue
from tests.recorded import ATTACK, BEFORE, as_list, events, gathered, take_in, take_in_recordings
from tests.unit.audit.events import creation, event_list

EVERYTHING = (*BEFORE, "binding-to-admin", ATTACK)
TAKEOVER = "ClusterRole metrics-scraper-v2 created"
OPERATOR = "certkeeper"
STOLEN = "certkeeper-controller-issuers"


@pytest.fixture
def releases(cluster: Cluster, ada: User) -> KnownActor:
    """The pipeline that releases with Helm, as an administrator would write it down."""
    known = KnownActor(
        cluster=cluster, name="Releases", username="ci-deployer", client="Helm/3.*",
        networks=["10.20.9.0/24", "127.0.0.1/32"], created_by=ada,
    )  # fmt: skip
    known_actors.save(known, by=ada)
    return known


def take_in_everything(cluster: Cluster) -> dict[str, Alert]:
    return {title: gathered(alert) for title, alert in take_in_recordings(cluster, *EVERYTHING).items()}


def take_in_operator(cluster: Cluster) -> dict[str, Alert]:
    opened = take_in_recordings(cluster, "bootstrap", "operator-install")
    return {title: gathered(alert) for title, alert in opened.items()}


def rows(seen_by: User, **filters: str) -> list[queue.Row]:
    return queue.loaded(queue.Filter(**filters).rows(seen_by=seen_by))


def test_an_operator_installed_by_helm_is_one_row_and_the_takeover_stands_at_the_top(
    cluster: Cluster, ana: User
) -> None:
    take_in_everything(cluster)
    found = rows(ana)
    assert found[0].alert.title == TAKEOVER
    assert found[0].folded == []
    operator = [row for row in found if any(OPERATOR in each.title for each in (row.alert, *row.folded))]
    assert len(operator) == 1
    (row,) = operator
    assert row.release == "Helm release certkeeper/certkeeper"
    assert len(row.folded) == Alert.objects.filter(title__contains=OPERATOR).count() - 1 == 9
    assert row.alert.score == max(each.score for each in (row.alert, *row.folded))
    assert all(row.folded == [] for row in found if row.alert.severity == Alert.Severity.CRITICAL)


def test_whatever_order_batches_come_in_the_rows_are_the_same(cluster: Cluster, ana: User) -> None:
    for event in reversed(events("operator-install")):
        take_in(cluster, as_list([event]))
    for alert in Alert.objects.all():
        gathered(alert)
    (row,) = [row for row in rows(ana) if OPERATOR in row.alert.title]
    assert len(row.folded) == 9


def test_what_turns_critical_leaves_its_fold(cluster: Cluster, ana: User) -> None:
    take_in_operator(cluster)
    Alert.objects.filter(title="ClusterRole certkeeper-approver created").update(
        severity=Alert.Severity.CRITICAL, score=90
    )
    operator = [row for row in rows(ana) if OPERATOR in row.alert.title]
    assert [(row.alert.title, len(row.folded)) for row in operator] == [
        ("ClusterRole certkeeper-approver created", 0),
        ("ClusterRole certkeeper-cainjector created", 8),
    ]


def test_a_rollout_can_be_shown_unfolded_with_everything_in_it(cluster: Cluster, ana: User) -> None:
    found = take_in_operator(cluster)
    view = {"rollout": str(found["ClusterRole certkeeper-view created"].pk), "status": "any", "owner": "any"}
    shown = rows(ana, **view)
    assert sorted(row.alert.title for row in shown) == sorted(title for title in found if OPERATOR in title)


def released_with(rules: list[dict[str, list[str]]]) -> list[dict[str, Any]]:
    """Return the operator's installation with other rules in one of its roles."""
    found = []
    for event in events("operator-install"):
        for body in ("requestObject", "responseObject"):
            manifest = event.get(body) or {}
            named = manifest.get("kind") == "ClusterRole" and manifest["metadata"].get("name") == STOLEN
            if named:
                event[body] = manifest | {"rules": rules}
        found.append(event)
    return found


ISSUE_TOKENS = {"verbs": ["create"], "apiGroups": [""], "resources": ["serviceaccounts/token"]}
SPEAK_TO_KUBELETS = {"verbs": ["create"], "apiGroups": [""], "resources": ["nodes/proxy"]}


@pytest.mark.parametrize(
    ("rule", "subject", "severity"),
    [
        (ISSUE_TOKENS, "", "high"),
        (SPEAK_TO_KUBELETS, "", "critical"),
        (ISSUE_TOKENS, "system:authenticated", "critical"),
        ({"verbs": ["create"], "apiGroups": [""], "resources": ["secrets"]}, "", "high"),
    ],
)
def test_a_release_stays_high_and_what_takes_over_or_goes_to_everybody_critical(
    cluster: Cluster, rule: dict[str, list[str]], subject: str, severity: str
) -> None:
    take_in_recordings(cluster, "bootstrap", "narrow-role")
    recorded = released_with([rule])
    for event in recorded if subject else ():
        for manifest in (event.get("requestObject") or {}, event.get("responseObject") or {}):
            if manifest.get("roleRef", {}).get("name") == STOLEN:
                manifest["subjects"] = [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": subject}]
    alerts = [gathered(alert) for alert in take_in(cluster, as_list(recorded)) if STOLEN in alert.title]
    assert [alert.severity for alert in alerts] == [severity] * 2
    for alert in alerts:
        assert "made like a release by Helm, and nothing of it is new to its maker" in dict(alert.factors)


def test_who_holds_the_pipelines_credentials_gives_nothing_away_as_a_release(
    cluster: Cluster, releases: KnownActor, ana: User
) -> None:
    take_in_recordings(cluster, "bootstrap", "narrow-role")
    everything = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, {"verbs": ["*"], "nonResourceURLs": ["*"]}]
    opened = [alert for event in released_with(everything) for alert in take_in(cluster, as_list([event]))]
    stolen = [gathered(alert) for alert in opened if STOLEN in alert.title]
    assert {alert.severity for alert in stolen} == {"critical"}
    standing = [row for row in rows(ana) if row.alert in stolen]
    assert [row.alert for row in standing] == stolen
    assert not any(row.folded for row in standing)


@pytest.mark.parametrize(("observed", "weighs_less"), [("198.51.100.9", False), ("127.0.0.1", True)])
def test_a_release_from_where_the_api_server_never_saw_its_maker_counts_as_any_other_write(
    cluster: Cluster, observed: str, weighs_less: bool
) -> None:
    take_in_recordings(cluster, "bootstrap")
    opened = []
    for event in released_with([{"verbs": ["list"], "apiGroups": [""], "resources": ["secrets"]}]):
        named = event.get("responseObject", {}).get("metadata", {}).get("name")
        moved = {"sourceIPs": ["10.20.9.2", observed]} if named == STOLEN else {}
        opened += take_in(cluster, as_list([event | moved]))
    alert = gathered(next(alert for alert in opened if alert.title == f"ClusterRole {STOLEN} created"))
    assert any("made like a release" in label for label, _ in alert.factors) is weighs_less


def test_a_known_actor_makes_it_less_of_a_novelty_and_nothing_less_grave(
    cluster: Cluster, releases: KnownActor, ana: User
) -> None:
    found = take_in_everything(cluster)
    orders = found["ClusterRole certkeeper-controller-orders created"]
    assert orders.known_actor == releases
    assert (orders.severity, orders.score) == ("low", 17)
    assert ["made by the known actor Releases", "× 0.7"] in orders.factors
    injector = found["ClusterRole certkeeper-cainjector created"]
    assert (injector.severity, injector.score) == ("high", 60)
    assert ["high stays high, whoever made it", "not below 60"] in injector.factors
    # Its score is a floor already.
    view = found["ClusterRole certkeeper-view created"]
    assert (view.severity, view.score, view.known_actor) == ("high", 80, releases)
    # The intruder holds the pipeline's credentials, and comes from elsewhere with another client.
    attack = found[TAKEOVER]
    assert attack.known_actor is None
    assert (attack.severity, attack.score) == ("critical", 100)
    assert rows(ana)[0].alert == attack


def test_a_rule_counts_its_alerts_once_each_and_matches_no_more_when_switched_off(
    cluster: Cluster, releases: KnownActor, ada: User
) -> None:
    found = take_in_operator(cluster)
    alert = gathered(found["ClusterRole certkeeper-view created"])
    assert vars(known_actors.listed().get())["matched"] == 10
    known_actors.switch(releases, enabled=False, by=ada)
    alert.refresh_from_db()
    assert alert.evidence_due
    assert gathered(alert).known_actor is None
    assert alert.cluster.activities.filter(kind="known_actor").count() == 2


def test_another_cluster_does_not_know_the_actor(releases: KnownActor) -> None:
    other = Cluster(name="prod-us")
    other.issue_hook_token()
    other.save()
    assert take_in_operator(other)["ClusterRole certkeeper-view created"].known_actor is None


def test_history_opens_alerts_and_raises_no_alarm(cluster: Cluster, settings: Settings) -> None:
    settings.HISTORY_HOURS = 24
    now = timezone.now()
    latest = max(now.fromisoformat(event["requestReceivedTimestamp"]) for event in events(ATTACK))
    old, new = (shifted(events(ATTACK), now - age - latest) for age in (timedelta(days=3), timedelta(minutes=1)))
    alert, *_ = take_in(cluster, as_list(old))
    alert = gathered(alert)
    assert (alert.historical, alert.respond_by, alert.severity) == (True, None, "critical")
    assert not Notification.objects.exists()
    for event in new:
        if event["verb"] == "create" and event.get("objectRef", {}).get("resource") == "clusterroles":
            event["responseObject"]["metadata"]["uid"] = "0c7f1a52-0000-4000-8000-00000000beef"
    alert, *_ = take_in(cluster, as_list(new))
    alert = gathered(alert)
    assert not alert.historical
    assert alert.respond_by is not None


def test_what_waited_here_is_not_history(cluster: Cluster, settings: Settings) -> None:
    settings.HISTORY_HOURS = 24
    settings.INBOX_AGE_LIMIT = 48 * 60 * 60
    long_ago = timezone.now() - timedelta(hours=25)
    with time_machine.travel(long_ago, tick=False):
        inbox.store(cluster, event_list(creation(requestReceivedTimestamp=f"{long_ago:%Y-%m-%dT%H:%M:%SZ}")))
        inbox.store(cluster, b"not an event")
    for batch in inbox.claim(2):
        assert not intake.examine(batch).error
    assert set(Alert.objects.values_list("detection", "historical")) == {
        ("cluster_role_created", False),
        ("audit_data_damaged", False),
    }
    assert all(gathered(alert).respond_by for alert in Alert.objects.all())
