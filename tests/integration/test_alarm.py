"""Opening many alerts at once comes to the same as opening one after the other, whoever else opens some meanwhile."""

import hashlib
import time
from typing import Any

import pytest
from django.db import IntegrityError

from alerts.models import Activity, Alert, Cluster, Step
from alerts.playbook import STEPS
from alerts.services import alarm, inbox, intake
from tests.integration.conftest import Parallel
from tests.integration.examining import recording, remembered, take_in
from tests.unit.audit.events import as_bytes, creation, event_list

PEOPLE = [f"person-{number}@example.com" for number in range(10)]


def refused(username: str, attempt: int, second: int = 0) -> bytes:
    """Return an attempt to make a role. Those of somebody on one day share an alert."""
    event = creation(
        auditID=f"{username}-{attempt}",
        user={"username": username},
        responseStatus={"code": 403},
        responseObject={"kind": "Status", "code": 403},
        requestReceivedTimestamp=f"2026-11-23T18:{attempt:02}:{second:02}.000000Z",
    )
    return as_bytes(event)


def attempts(minute: int) -> list[bytes]:
    """Return an attempt of each, in another order each minute."""
    people = sorted(PEOPLE, key=lambda person: hashlib.sha256(f"{minute} {person}".encode()).digest())
    return [refused(person, minute, second) for second, person in enumerate(people)]


def test_where_somebody_else_opens_an_alert_meanwhile_each_is_opened_by_itself(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(cluster, recording("operator-install"))
    other, tried = Cluster.objects.create(name="other"), []

    def taken(*about: object) -> list[Alert]:
        tried.append(about)
        raise IntegrityError

    monkeypatch.setattr(alarm, "_opened", taken)
    outcome = take_in(other, recording("operator-install"))
    assert tried
    assert remembered(other) == remembered(cluster)
    assert len(outcome.opened) == Alert.objects.filter(cluster=other).count() == 10


@pytest.mark.django_db(transaction=True)
def test_several_workers_that_find_the_same_open_each_alert_once(
    parallel: Parallel, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster.objects.create(name="prod-eu")
    bodies = [event_list(*attempts(attempt)) for attempt in range(3)]
    waiting = [inbox.store_leased(cluster, body)[0] for body in bodies]
    opened, open_all = list[Alert](), alarm._opened

    def slow(*about: Any) -> list[Alert]:
        # All of them have looked by now and found none.
        time.sleep(0.3)
        return open_all(*about)

    def work() -> None:
        outcome = intake.examine(waiting.pop())
        assert not outcome.error
        opened.extend(outcome.opened)

    monkeypatch.setattr(alarm, "_opened", slow)
    parallel(work, 3)
    assert sorted(alert.actor for alert in opened) == PEOPLE
    assert Alert.objects.count() == 10
    assert {alert.events.count() for alert in Alert.objects.all()} == {3}
    assert Step.objects.count() == 10 * len(STEPS)
    assert Activity.objects.filter(kind="opened").count() == 10
    assert not [alert for alert in opened if Activity.objects.broken(alert)]


@pytest.mark.django_db(transaction=True)
def test_several_workers_add_to_the_same_alerts_in_whatever_order(parallel: Parallel) -> None:
    cluster = Cluster.objects.create(name="prod-eu")
    take_in(cluster, event_list(*(refused(person, 0) for person in PEOPLE)))
    waiting = [inbox.store_leased(cluster, event_list(*attempts(attempt)))[0] for attempt in range(1, 31)]

    def work() -> None:
        while waiting:
            assert not intake.examine(waiting.pop()).error

    parallel(work, 4)
    assert {alert.events.count() for alert in Alert.objects.all()} == {31}
