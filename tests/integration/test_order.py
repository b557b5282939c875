"""In whatever order events come, and however many workers examine them, it comes to the same."""

import hashlib
import itertools
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts import detections
from alerts.audit.decode import decode
from alerts.audit.event import Event
from alerts.detections.detection import Finding, Known
from alerts.lifecycle import Status, Verdict
from alerts.models import Activity, Alert, AuditEvent, Batch, Cluster
from alerts.services import inbox, intake, investigation, workflow
from alerts.services.kept import row_of
from tests.conftest import RECORDINGS
from tests.integration.conftest import Parallel
from tests.integration.examining import remembered, take_in
from tests.integration.reader import at, change, deletion
from tests.unit.audit.events import RULES, creation, event_list, metadata_only, role


def examined(bodies: list[bytes], name: str = "") -> Cluster:
    """Return a new cluster whose batches these were, examined one after the other."""
    cluster = Cluster.objects.create(name=name or f"c{Cluster.objects.count()}")
    for body in bodies:
        take_in(cluster, body)
    return cluster


def in_order(bodies: list[bytes]) -> Cluster:
    """Return the cluster whose batches came in order, examined once for all examples of a test."""
    return Cluster.objects.filter(name="in-order").first() or examined(bodies, "in-order")


@given(st.randoms(use_true_random=False))
@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_the_order_of_batches_does_not_matter(cluster: Cluster, shuffled: random.Random) -> None:
    lines = [line for path in sorted(RECORDINGS.glob("*.jsonl")) for line in path.read_bytes().splitlines()]
    batches = [b"\n".join(lines[at : at + 5]) for at in range(0, len(lines), 5)]
    ordered = in_order(batches)
    shuffled.shuffle(batches)
    assert remembered(examined(batches)) == remembered(ordered)


def lives_of(name: str) -> list[bytes]:
    """Return the bodies of what became of a role, an event each: made, widened, narrowed, deleted, and made again.

    Between two of these something else was done to it of which the log says no more.
    """
    bodies: list[dict[str, Any]] = []
    for life in range(3):
        uid, at = f"{name}-{life}", f"2026-11-23T18:0{life}"
        for step, verbs in enumerate((["get"], ["get", "*"], ["get"])):
            manifest = role(name, uid=uid, resourceVersion=f"{life}{step}") | {
                "rules": [{"verbs": verbs, "apiGroups": [""], "resources": ["secrets"]}]
            }
            bodies.append(
                creation(
                    name,
                    auditID=f"{name}-{life}-{step}",
                    verb="update" if step else "create",
                    responseStatus={"code": 200 if step else 201},
                    requestObject=manifest,
                    responseObject=manifest,
                    requestReceivedTimestamp=f"{at}:0{step}.000000Z",
                )
            )
        unseen = creation(name, auditID=f"{name}-{life}-unseen", verb="patch", responseStatus={"code": 200})
        bodies.append(metadata_only(unseen | {"requestReceivedTimestamp": f"{at}:01.500000Z"}))
        status = {"kind": "Status", "status": "Success", "details": {"name": name, "uid": uid}}
        bodies.append(
            creation(
                name,
                auditID=f"{name}-{life}-gone",
                verb="delete",
                responseStatus={"code": 200},
                requestObject={"kind": "DeleteOptions"},
                responseObject=status,
                requestReceivedTimestamp=f"{at}:09.000000Z",
            )
        )
    return [event_list(event) for event in bodies]


MADE, WIDENED, NARROWED = lives_of("reader")[:3]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_deletion_for_an_owner_that_was_given_later_is_found_in_whatever_order_its_events_come(
    cluster: Cluster, order: tuple[int, ...]
) -> None:
    owner = {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "nobody"}]}
    collector = {"username": "system:serviceaccount:kube-system:generic-garbage-collector"}
    bodies = [creation(**at(1)), change(2, "4712", RULES), deletion(3, user=collector)]
    bodies[1]["responseObject"]["metadata"] |= owner
    for position in order:
        take_in(cluster, event_list(bodies[position]))
    assert Alert.objects.filter(title="ClusterRole reader deleted, for an owner that it was given later").exists()


def narrowed(cluster: Cluster) -> Alert:
    """Return the alert of a change of which nobody saw yet what was before."""
    (alert,) = take_in(cluster, NARROWED).opened
    assert "what it permitted before is unknown" in alert.title
    return alert


def test_an_alert_that_does_not_stand_any_more_is_withdrawn_and_opens_as_new_when_it_does(cluster: Cluster) -> None:
    alert = narrowed(cluster)
    take_in(cluster, WIDENED)
    alert.refresh_from_db()
    assert (alert.status, alert.verdict) == (Status.CLOSED, Verdict.FALSE_POSITIVE)
    assert alert.closed_at is not None
    told = alert.activities.get(kind="withdrawn")
    assert told.by is None
    assert "is known now" in told.summary

    # It was deleted in between, so again nobody knows.
    gone = creation(verb="delete", auditID="gone", requestReceivedTimestamp="2026-11-23T18:00:01.600000Z")
    take_in(cluster, event_list(gone | {"responseStatus": {"code": 200}, "responseObject": {"kind": "Status"}}))
    alert = Alert.objects.get(pk=alert.pk)
    assert (alert.status, alert.verdict, alert.closed_at) == (Status.NEW, "", None)
    assert alert.activities.filter(kind="reopened", by=None).count() == 1
    assert not Activity.objects.broken(alert)


def test_an_alert_that_somebody_works_on_is_not_withdrawn_and_says_so_once(cluster: Cluster, ana: User) -> None:
    alert = narrowed(cluster)
    workflow.take(alert, by=ana, version=alert.version)
    take_in(cluster, WIDENED)
    take_in(cluster, MADE)
    alert.refresh_from_db()
    assert (alert.status, alert.assignee) == (Status.IN_PROGRESS, ana)
    assert "would have withdrawn it" in alert.activities.get(kind="doubted").summary


def test_an_alert_of_an_event_that_was_cut_is_not_withdrawn(cluster: Cluster) -> None:
    cut = {
        "auditID": "cut",
        "annotations": {"audit.k8s.io/truncated": "true"},
        "requestReceivedTimestamp": "2026-11-23T18:00:03.000000Z",
    }
    manifest = role(uid="reader-0", resourceVersion="3") | {"rules": []}
    changed = creation(verb="update", responseStatus={"code": 200}, responseObject=manifest, requestObject=None)
    opened = take_in(cluster, event_list(changed | cut)).opened
    (alert,) = (each for each in opened if each.detection == "role_widened")
    take_in(cluster, WIDENED)
    alert.refresh_from_db()
    assert alert.is_open()


def test_an_alert_that_a_person_closed_stays_closed_as_it_was(cluster: Cluster, ana: User) -> None:
    alert = narrowed(cluster)
    workflow.close(alert, Verdict.DUPLICATE, by=ana, version=alert.version, reason="Of another.")
    take_in(cluster, WIDENED)
    take_in(cluster, NARROWED.replace(b"\n", b"\n\n"))
    alert.refresh_from_db()
    assert (alert.status, alert.verdict) == (Status.CLOSED, Verdict.DUPLICATE)


@given(st.permutations(lives_of("reader")))
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_what_became_of_a_role_is_the_same_in_whatever_order_its_writes_come(
    cluster: Cluster, bodies: list[bytes]
) -> None:
    assert remembered(examined(bodies)) == remembered(in_order(lives_of("reader")))


def test_what_became_of_a_role_is_the_same_where_all_its_writes_are_examined_together(cluster: Cluster) -> None:
    for body in sorted(lives_of("reader"), key=lambda body: hashlib.sha256(body).digest()):
        inbox.store(cluster, body)
    (outcome,) = intake.examine_all(inbox.claim(100))
    assert not outcome.error
    assert remembered(cluster) == remembered(in_order(lives_of("reader")))


@pytest.mark.django_db(transaction=True)
def test_what_became_of_a_role_is_the_same_whoever_examines_its_writes_side_by_side(parallel: Parallel) -> None:
    bodies = [body for number in range(4) for body in lives_of(f"reader-{number}")]
    first, second = (Cluster.objects.create(name=name) for name in ("in-order", "side-by-side"))
    for body in bodies:
        take_in(first, body)
    for body in sorted(bodies, key=lambda body: hashlib.sha256(body).digest()):
        inbox.store(second, body)

    def work() -> None:
        while batches := inbox.claim(1):
            assert not intake.examine(batches[0]).error

    parallel(work, 4)
    assert remembered(second) == remembered(first)


@pytest.mark.django_db(transaction=True)
def test_a_worker_waits_for_another_that_has_an_earlier_write_of_the_same_role(
    parallel: Parallel, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster.objects.create(name="prod-eu")
    *_, gone, made, widened = lives_of("reader")[:7]
    take_in(cluster, gone)
    earlier, later = (inbox.store_leased(cluster, body)[0] for body in (made, widened))
    waiting, recorded, mark_due = [later, earlier], threading.Event(), investigation.mark_due

    def slow(*about: Any) -> None:
        mark_due(*about)
        if not recorded.is_set():
            recorded.set()
            time.sleep(0.5)

    def work() -> None:
        batch = waiting.pop()
        assert batch == earlier or recorded.wait(10)
        assert not intake.examine(batch).error

    monkeypatch.setattr(investigation, "mark_due", slow)
    parallel(work, 2)
    assert [alert.title for alert in Alert.objects.order_by("happened_at")] == [
        "ClusterRole reader deleted",
        "ClusterRole reader created",
        "ClusterRole reader widened",
    ]
    assert not Activity.objects.filter(kind="withdrawn").exists()


def test_however_many_writes_are_in_doubt_one_that_comes_late_has_few_of_them_judged_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubtful: dict[str, Any] = {"responseStatus": {"code": 504}, "responseObject": None}
    in_doubt = [change(20, "", auditID=f"in-doubt-{number}", **doubtful) for number in range(120)]
    take_in(cluster, event_list(*in_doubt))
    judged: list[str] = []
    examine = detections.examine

    def watched(event: Event, known: Known) -> Iterator[Finding]:
        judged.append(event.audit_id)
        return examine(event, known)

    monkeypatch.setattr(detections, "examine", watched)

    take_in(cluster, event_list(change(10, "", auditID="late", **doubtful)))
    assert judged == ["late"]
    take_in(cluster, event_list(creation(**at(5))))
    assert 10 < len(judged) < 60


@pytest.mark.django_db(transaction=True)
def test_workers_that_have_the_same_events_in_batches_of_their_own_do_not_wait_for_each_other(
    parallel: Parallel, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = Cluster.objects.create(name="prod-eu")
    bodies = [event_list(creation(name, auditID=name)) for name in ("one", "two")]
    rows = [row_of(decode(body).events[0], Batch(cluster=cluster)) for body in bodies]
    first, last = sorted(zip(rows, bodies, strict=True), key=lambda each: each[0].sha256)
    batches = [inbox.store_leased(cluster, body)[0] for _, body in (last, first)]
    began, turns = threading.Event(), [True, False]

    def work() -> None:
        if turns.pop():
            began.wait(10)
            list(intake.examine_all(batches))
            return
        with transaction.atomic():
            AuditEvent.objects.bulk_create([first[0]])
            began.set()
            time.sleep(0.5)
            AuditEvent.objects.bulk_create([last[0]], ignore_conflicts=True)

    parallel(work, 2)
    assert AuditEvent.objects.count() == 2
    assert "failed" not in caplog.text
