"""Findings that open, stand, are decided about, close by themselves and return."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone

from alerts.models import Activity, Alert, Cluster, PostureFinding
from alerts.services import posture
from alerts.services.posture.look import Found, Kind, Look
from tests.factories import make_alert, make_finding
from tests.integration.posture.objects import RBAC, bound, keep, remove, role, rule
from tests.recorded import ATTACK, as_list, events, take_in
from tests.unit.audit.events import creation, decoded, metadata_only

STRONG = role("strong", rule(RBAC, "clusterroles", "escalate"))
TO_EVE = bound("strong", "User", "eve")


def later(minutes: int = 2) -> time_machine.travel:
    return time_machine.travel(timezone.now() + timedelta(minutes=minutes), tick=True)


def titles(cluster: Cluster) -> list[str]:
    return [each.title for each in cluster.posture_findings.open()]


@pytest.fixture
def eve(cluster: Cluster) -> PostureFinding:
    """The finding that eve may escalate."""
    keep(cluster, STRONG, TO_EVE)
    posture.review(cluster)
    return cluster.posture_findings.get()


def test_a_review_keeps_what_it_finds_and_counts_it(cluster: Cluster, eve: PostureFinding) -> None:
    assert (eve.kind, eve.level, eve.title) == ("escalate", "high", "user eve")
    (day,) = cluster.posture_reviews.all()
    assert (day.open_count, day.accepted_count) == (1, 0)
    assert day.gaps == [
        "The cluster’s roles were never listed: of roles and bindings only what events showed is known.",
        "Namespaces and admission policies were not evaluated. Rolecall has no API address for cluster prod-eu.",
    ]


def test_a_finding_that_stands_is_one_finding(cluster: Cluster, eve: PostureFinding) -> None:
    with later():
        posture.review(cluster)
    again = cluster.posture_findings.get()
    assert again.first_seen == eve.first_seen
    assert again.last_seen > eve.last_seen


def test_a_look_that_just_was_is_not_repeated(cluster: Cluster, eve: PostureFinding) -> None:
    remove(cluster, TO_EVE)
    posture.review(cluster)
    assert titles(cluster) == ["user eve"]


def test_what_is_fixed_on_the_cluster_closes_itself_and_returns_as_a_new_one(
    cluster: Cluster, eve: PostureFinding
) -> None:
    remove(cluster, TO_EVE)
    with later():
        posture.review(cluster)
        assert titles(cluster) == []
        eve.refresh_from_db()
        assert eve.closed_at is not None
        assert eve.fixed_by is None
        assert Activity.objects.filter(cluster=cluster, summary="1 finding is fixed on prod-eu", by=None).exists()
        keep(cluster, TO_EVE)
    with later(4):
        posture.review(cluster)
    assert titles(cluster) == ["user eve"]
    assert cluster.posture_findings.count() == 2


def test_an_accepted_finding_is_not_open_until_its_date(cluster: Cluster, eve: PostureFinding, ana: User) -> None:
    posture.accept(eve, by=ana, reason=" The on-call needs it. ", days=7)
    assert titles(cluster) == []
    (accepted,) = cluster.posture_findings.accepted()
    acceptance = accepted.acceptance()
    assert acceptance is not None
    assert (acceptance.reason, acceptance.by) == ("The on-call needs it.", ana)
    assert timedelta(days=6.9) < acceptance.until - timezone.now() <= timedelta(days=7)
    day = cluster.posture_reviews.get()
    assert (day.open_count, day.accepted_count) == (0, 1)
    record = Activity.objects.get(kind="posture", by=ana)
    assert record.summary.endswith("May escalate: give roles more than they hold themselves: user eve")
    assert record.detail["reason"] == "The on-call needs it."
    with time_machine.travel(timezone.now() + timedelta(days=8), tick=True):
        assert titles(cluster) == ["user eve"]


def test_an_acceptance_is_changed_and_taken_back_and_its_history_stays(
    cluster: Cluster, eve: PostureFinding, ana: User, ben: User
) -> None:
    posture.accept(eve, by=ana, reason="For now.")
    posture.accept(eve, by=ben, reason="Until the migration.")
    assert [(each.by, each.is_in_force()) for each in eve.acceptances.all()] == [(ben, True), (ana, False)]
    posture.withdraw(eve, by=ana)
    posture.withdraw(eve, by=ana)
    assert titles(cluster) == ["user eve"]
    assert eve.acceptances.count() == 2
    assert Activity.objects.filter(summary__startswith="no longer accepted", by=ana).count() == 1


@pytest.mark.parametrize("reason", ["", "  \n "])
def test_nothing_is_accepted_without_a_reason(eve: PostureFinding, ana: User, reason: str) -> None:
    with pytest.raises(posture.Refused, match="Say in a sentence"):
        posture.accept(eve, by=ana, reason=reason)
    assert not eve.acceptances.exists()


def test_what_somebody_says_is_fixed_and_is_not_opens_again(cluster: Cluster, eve: PostureFinding, ana: User) -> None:
    posture.mark_fixed(eve, by=ana)
    assert titles(cluster) == []
    with pytest.raises(posture.Refused, match="fixed already"):
        posture.accept(eve, by=ana, reason="Too late.")
    with later():
        posture.review(cluster)
    assert titles(cluster) == ["user eve"]
    assert cluster.posture_findings.get(fixed_by=ana).closed_at is not None


def test_what_could_not_be_looked_at_is_not_called_fixed(cluster: Cluster) -> None:
    keep(cluster, STRONG)
    for kind in (Kind.NETWORK, Kind.AUDIT, Kind.EQUALS):
        make_finding(cluster, kind=kind, title=kind.value)
    posture.review(cluster)
    assert titles(cluster) == ["audit", "equals", "network"]


def test_an_old_request_does_not_reopen_what_was_fixed_since(cluster: Cluster, ana: User) -> None:
    alert = make_alert(cluster)
    old = posture.look_at_events(
        [decoded(metadata_only(creation(requestReceivedTimestamp=timezone.now().isoformat())))]
    )
    posture.record(alert, Look(), observed=old)
    (gap,) = cluster.posture_findings.open()
    posture.mark_fixed(gap, by=ana)
    posture.record(alert, Look(), observed=old)
    assert titles(cluster) == []
    with later():
        event = decoded(metadata_only(creation(requestReceivedTimestamp=timezone.now().isoformat())))
        posture.record(alert, Look(), observed=posture.look_at_events([event]))
    assert titles(cluster) == [gap.title]


def test_an_alerts_own_findings_close_at_a_later_look_at_the_cluster(cluster: Cluster) -> None:
    alert, *_ = take_in(cluster, as_list(events(ATTACK)))
    more = role("more", rule("*", "*", "*"), {"nonResourceURLs": ["*"], "verbs": ["*"]})
    to_bob = bound("more", "User", "bob")
    keep(cluster, more, to_bob)
    found = Found(Kind.EQUALS, "user bob", "medium", "user bob", "by a binding that is gone")
    posture.record(alert, Look((found,), judged=frozenset({Kind.EQUALS})), observed=Look())
    posture.review(cluster)
    assert alert.posture_findings.open().filter(kind="equals", title="user bob").count() == 1
    with later():
        remove(cluster, to_bob)
        posture.review(cluster)
    assert not alert.posture_findings.open().filter(kind="equals").exists()


def test_two_alerts_have_the_same_finding_each(cluster: Cluster) -> None:
    look = Look((Found(Kind.EQUALS, "k", "medium", "user bob"),), judged=frozenset({Kind.EQUALS}))
    alerts = [make_alert(cluster, name) for name in ("one", "two")]
    for alert in alerts:
        posture.record(alert, look, observed=Look())
    assert PostureFinding.objects.open().count() == 2
    posture.record(alerts[0], Look(judged=frozenset({Kind.EQUALS})), observed=Look())
    assert [each.alert for each in PostureFinding.objects.open()] == [alerts[1]]


def test_no_open_findings_is_not_said_alone_where_little_could_be_evaluated(cluster: Cluster) -> None:
    alert: Alert = make_alert(cluster)
    posture.review(cluster)
    assert posture.evidence(alert)["summary"] == "No open findings. Not everything could be evaluated."
    cluster.posture_reviews.update(gaps=[])
    assert posture.evidence(alert)["summary"] == "No open findings."


def test_the_evidence_counts_and_cuts_long_lists(cluster: Cluster, ana: User) -> None:
    alert: Alert = make_alert(cluster)
    for number in range(14):
        make_finding(cluster, title=f"user {number:02}", detail="")
    posture.accept(make_finding(cluster, kind="public", level="critical"), by=ana, reason="A public status page.")
    evidence = posture.evidence(alert)
    assert evidence["summary"].startswith("14 open findings; 1 accepted; the gravest: may escalate")
    assert evidence["chips"] == []
    (group, gap) = evidence["findings"]
    assert (group["key"], len(group["lines"]), group["left_out"]) == ("escalate", 12, 2)
    assert gap["level"] == "soft"
