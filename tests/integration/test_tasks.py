from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from celery import Task, current_app
from django.utils import timezone

from alerts import tasks
from alerts.models import AccessObject, AccessVersion, Alert, Batch, Cluster
from alerts.services import inbox, intake, investigation, listing, reconciliation
from alerts.services.revocation import freshness
from tests.conftest import RECORDINGS
from tests.integration.conftest import Parallel
from tests.unit.audit.events import creation, event_list, role

type Woken = list[tuple[Any, ...]]


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> Woken:
    """What was woken, by name and arguments, instead of the broker that would have to run."""
    calls: Woken = []

    def wake(task: Any, *args: Any, after: float = 0) -> None:
        calls.append((task.name.rpartition(".")[2], *args))

    monkeypatch.setattr(tasks, "wake", wake)
    return calls


def store(cluster: Cluster, *names: str) -> None:
    for name in names:
        inbox.store(cluster, event_list(creation(name, responseObject=role(name, uid=name))))


def for_every_alert() -> Woken:
    keys = Alert.objects.order_by("pk").values_list("pk", flat=True)
    return [(task, pk) for pk in keys for task in ("investigate", "plan_revocation")]


def test_everything_in_the_inbox_is_examined_and_every_new_alert_prepared(cluster: Cluster, woken: Woken) -> None:
    names = [f"role-{number}" for number in range(10)]
    store(cluster, *names)
    tasks.examine_inbox()
    assert [alert.object.name for alert in Alert.objects.order_by("pk") if alert.object] == names
    assert woken == for_every_alert()
    assert not Batch.objects.exclude(state=Batch.State.DONE).exists()


def test_of_many_new_alerts_most_are_left_to_the_sweep(
    cluster: Cluster, woken: Woken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_PREPARED_AT_ONCE", 2)
    monkeypatch.setattr(freshness, "NEW_AT_ONCE", 3)
    store(cluster, "first", "second", "third", "fourth")
    tasks.examine_inbox()
    keys = list(Alert.objects.order_by("pk").values_list("pk", flat=True))
    assert len(keys) == 4
    assert woken == for_every_alert()[:4]
    woken.clear()
    tasks.sweep()
    assert [call for call in woken if call[0] == "investigate_due"] == [("investigate_due", pk) for pk in keys]
    assert [call for call in woken if call[0] == "plan_revocation"] == [
        ("plan_revocation", pk) for pk in reversed(keys[1:])
    ]


def test_run_again_it_does_nothing_more(cluster: Cluster, woken: Woken) -> None:
    store(cluster, "reader")
    for _ in range(3):
        tasks.examine_inbox()
    assert woken == for_every_alert()


def test_one_batch_that_fails_does_not_hold_up_the_others(
    cluster: Cluster, woken: Woken, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(cluster, "first", "second", "third")
    concerned = investigation.concerned

    def fail_for_the_second(found: Cluster, mentioned: str) -> list[int]:
        if "second" in mentioned:
            raise RuntimeError
        return concerned(found, mentioned)

    monkeypatch.setattr(investigation, "concerned", fail_for_the_second)
    tasks.examine_inbox()
    assert {alert.object.name for alert in Alert.objects.all() if alert.object} == {"first", "third"}
    assert Batch.objects.get(state=Batch.State.LEASED).error == "RuntimeError: "


def test_a_full_inbox_is_shared_out_over_several_runs(
    cluster: Cluster, woken: Woken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_TURN_SECONDS", 0)
    monkeypatch.setattr(intake, "AT_ONCE", 3)
    store(cluster, *(f"role-{number}" for number in range(intake.AT_ONCE + 2)))
    tasks.examine_inbox()
    assert Batch.objects.filter(state=Batch.State.WAITING).count() == 2
    assert ("examine_inbox",) in woken


def test_the_sweep_finds_what_no_wake_up_reached(cluster: Cluster, woken: Woken) -> None:
    tasks.sweep()
    assert ("examine_inbox",) not in woken
    store(cluster, "reader")
    tasks.sweep()
    assert ("examine_inbox",) in woken


def test_the_sweep_has_a_new_cluster_listed_once(cluster: Cluster, woken: Woken) -> None:
    cluster.api_address, cluster.readable = "https://127.0.0.1:1", True
    cluster.save()
    tasks.sweep()
    assert ("refresh_inventory", cluster.pk) in woken
    tasks.refresh_inventory(cluster.pk)
    woken.clear()
    tasks.sweep()
    assert ("refresh_inventory", cluster.pk) not in woken
    tasks.refresh_inventories()
    assert ("refresh_inventory", cluster.pk) in woken


def test_after_a_listing_what_no_event_told_is_looked_for(
    cluster: Cluster, woken: Woken, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.api_address, cluster.readable = "https://127.0.0.1:1", True
    cluster.save()
    monkeypatch.setattr(listing, "refresh", lambda _: True)
    tasks.refresh_inventory(cluster.pk)
    assert woken == [("reconcile", cluster.pk)]


def test_an_unaudited_change_is_found_by_the_sweep_and_prepared(cluster: Cluster, woken: Woken) -> None:
    Cluster.objects.update(last_event_at=timezone.now())
    named = AccessObject.named(cluster, "ClusterRole", "", "reader")
    named.versions.create(source="listing", uid="u", resource_version="1", manifest=role())
    tasks.sweep()
    assert ("reconcile", cluster.pk) not in woken
    with time_machine.travel(timezone.now() + reconciliation.grace() + timedelta(seconds=1)):
        tasks.sweep()
        assert ("reconcile", cluster.pk) in woken
        woken.clear()
        tasks.reconcile(cluster.pk)
        assert woken == for_every_alert() != []
        tasks.reconcile(cluster.pk)
    assert Alert.objects.count() == 1


def test_every_cluster_that_can_be_asked_gets_a_canary_and_every_stream_a_judge(cluster: Cluster, woken: Woken) -> None:
    tasks.watch_streams()
    assert woken == []
    cluster.api_address, cluster.readable, cluster.last_event_at = "https://127.0.0.1:1", True, timezone.now()
    cluster.save()
    tasks.watch_streams()
    assert woken == [("send_canary", cluster.pk), ("judge_stream", cluster.pk)]
    tasks.send_canary(cluster.pk)
    tasks.judge_stream(cluster.pk)
    cluster.refresh_from_db()
    assert cluster.canary_error


def test_what_somebody_waits_for_stands_in_no_line_behind_investigations_and_every_worker_takes_both() -> None:
    routed, taken = current_app.conf.task_routes, current_app.amqp.queues.consume_from
    assert routed.keys() <= current_app.tasks.keys()

    def queue(task: Task[Any, Any]) -> str:
        found = current_app.amqp.router.route({}, task.name)["queue"]
        assert taken[found.name].routing_key == found.routing_key == found.name
        return str(found.name)

    assert {queue(task) for task in (tasks.examine_inbox, tasks.sweep, tasks.run_revocation)} == {"prompt"}
    assert {queue(task) for task in (tasks.investigate, tasks.plan_revocation, tasks.deliver)} == {"patient"}


def test_what_was_deleted_meanwhile_is_nobody_s_business(db: None) -> None:
    tasks.investigate(0)
    tasks.refresh_inventory(0)
    tasks.reconcile(0)
    tasks.send_canary(0)
    tasks.judge_stream(0)


@pytest.mark.django_db(transaction=True)
def test_workers_side_by_side_examine_every_batch_once(
    woken: Woken, parallel: Parallel, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster.objects.create(name="prod-eu")
    for path in sorted(RECORDINGS.glob("*.jsonl")):
        inbox.store(cluster, path.read_bytes())
    store(cluster, *(f"role-{number}" for number in range(12)))
    examined: list[int] = []
    examine_all = intake.examine_all

    def noted(batches: list[Batch]) -> Iterator[intake.Outcome]:
        examined.extend(batch.pk for batch in batches)
        return examine_all(batches)

    monkeypatch.setattr(intake, "examine_all", noted)
    parallel(tasks.examine_inbox, 3)
    assert sorted(examined) == sorted(Batch.objects.values_list("pk", flat=True))
    assert not Batch.objects.exclude(state=Batch.State.DONE).exists()
    assert Alert.objects.count() == 26 + 12
    assert sorted(woken) == sorted(for_every_alert())


type State = tuple[set[tuple[str, ...]], set[tuple[object, ...]]]


def state_of(cluster: Cluster) -> State:
    alerts = Alert.objects.filter(cluster=cluster).values_list("fingerprint", "title", "object__name", "actor")
    versions = AccessVersion.objects.filter(object__cluster=cluster)
    return set(alerts), set(versions.values_list("object__name", "uid", "resource_version", "deletion", "source"))


@pytest.mark.django_db(transaction=True)
def test_in_any_order_twice_and_side_by_side_it_comes_to_the_same(woken: Woken, parallel: Parallel) -> None:
    bodies = [path.read_bytes() for path in sorted(RECORDINGS.glob("*.jsonl"))]
    first, second = (Cluster.objects.create(name=name) for name in ("in-order", "out-of-order"))
    for body in bodies:
        inbox.store(first, body)
    tasks.examine_inbox()

    for body in reversed(bodies):
        inbox.store(second, body)
    parallel(tasks.examine_inbox, 2)
    # As after a worker that died when it had done everything but say so.
    Batch.objects.filter(cluster=second).update(state=Batch.State.WAITING)
    parallel(tasks.examine_inbox, 2)
    for _ in range(2):
        for alert in Alert.objects.filter(cluster=second):
            tasks.investigate(alert.pk)
        tasks.purge()
        tasks.sweep()
    assert state_of(second) == state_of(first)
    assert len(state_of(first)[0]) == 26
