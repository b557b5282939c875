"""When alerts are investigated again: soon, but never all at once."""

from datetime import timedelta

import pytest
from django.utils import timezone

from alerts import tasks
from alerts.models import Alert, Cluster
from alerts.services import investigation
from tests.factories import make_alert


def test_alerts_that_rested_are_investigated_again_a_few_at_a_time_and_those_of_the_last_hour_too(
    cluster: Cluster,
) -> None:
    now = timezone.now()
    for number in range(20):
        happened = now - timedelta(minutes=5 if number < 10 else 600)
        rested = now - timedelta(minutes=2 if number < 10 else 20)
        make_alert(cluster, f"role-{number}", happened_at=happened, evidence_at=rested, evidence_due=True)
    keys = list(Alert.objects.order_by("pk").values_list("pk", flat=True))
    assert investigation.due() == keys[:4] + keys[10:14]
    never = make_alert(cluster, "new")
    assert investigation.due()[0] == never.pk
    Alert.objects.filter(pk__in=keys[:4]).update(evidence_due=False)
    assert investigation.due()[1:5] == keys[4:8]


def test_whoever_brings_about_many_alerts_keeps_nobody_elses_waiting(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(investigation, "_NEW_AT_ONCE", 4)
    flood = [make_alert(cluster, f"junk-{number}", actor="mallory") for number in range(9)]
    other = make_alert(cluster, "reader", actor="jane")
    latest = make_alert(cluster, "writer", actor="joe")
    assert investigation.due() == [latest.pk, other.pk, flood[0].pk, flood[1].pk]


def test_what_waited_in_the_queue_is_not_investigated_twice(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    alert = make_alert(cluster)
    gathered_for: list[int] = []
    gather = investigation.gather

    def noted(alert: Alert) -> None:
        gathered_for.append(alert.pk)
        gather(alert)

    monkeypatch.setattr(investigation, "gather", noted)
    for _ in range(3):
        tasks.investigate_due(alert.pk)
    assert gathered_for == [alert.pk]
    tasks.investigate_due(0)
