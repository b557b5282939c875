from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from alerts.models import Activity, Alert, Batch, Cluster
from alerts.models.credential import CredentialLost
from alerts.services import inbox
from tests.integration.conftest import Parallel

BODY = b'{"kind":"EventList","items":[{"requestObject":{"data":{"password":"hunter2"}}}]}'
State = Batch.State


def state(batch: Batch) -> str:
    return Batch.objects.get(pk=batch.pk).state


def claim_all() -> list[Batch]:
    return inbox.claim(100)


def test_a_stored_body_comes_back(cluster: Cluster) -> None:
    batch = inbox.store(cluster, BODY)
    assert inbox.body(Batch.objects.get(pk=batch.pk)) == BODY
    assert batch.size == len(BODY)
    assert state(batch) == State.WAITING


def test_a_body_is_never_stored_in_clear(cluster: Cluster) -> None:
    stored = bytes(Batch.objects.get(pk=inbox.store(cluster, BODY).pk).body)
    assert b"hunter2" not in stored
    assert b"EventList" not in stored


def test_a_body_under_a_lost_key_says_which_key_is_missing(cluster: Cluster, settings: Settings) -> None:
    batch = inbox.store(cluster, BODY)
    old, settings.CREDENTIAL_KEYS = settings.CREDENTIAL_KEYS, ["D0lmSJ1kOBSDYXgIrYuqECuIHNPTrPIbSaeREHOmsMo="]
    with pytest.raises(CredentialLost, match="CREDENTIAL_KEYS"):
        inbox.body(Batch.objects.get(pk=batch.pk))
    settings.CREDENTIAL_KEYS = [*settings.CREDENTIAL_KEYS, *old]
    assert inbox.body(Batch.objects.get(pk=batch.pk)) == BODY


def test_a_body_that_comes_again_is_the_same_batch(cluster: Cluster) -> None:
    other = Cluster.objects.create(name="other")
    first = inbox.store(cluster, BODY)
    assert inbox.store(cluster, BODY).pk == first.pk
    assert inbox.store(other, BODY).pk != first.pk
    assert Batch.objects.count() == 2


def test_storing_notes_when_the_cluster_was_last_heard_of(cluster: Cluster) -> None:
    before = timezone.now()
    inbox.store(cluster, BODY)
    cluster.refresh_from_db()
    assert cluster.last_batch_at is not None
    assert cluster.last_batch_at >= before


def test_batches_within_a_second_of_each_other_do_not_all_write_the_cluster(cluster: Cluster) -> None:
    first = inbox.store(cluster, b"1").received_at
    for seconds, noted in ((0.5, 0.0), (1.5, 1.5)):
        cluster.refresh_from_db()
        with time_machine.travel(first + timedelta(seconds=seconds), tick=False):
            inbox.store(cluster, str(seconds).encode())
        cluster.refresh_from_db()
        assert cluster.last_batch_at is not None
        assert (cluster.last_batch_at - first).total_seconds() == pytest.approx(noted, abs=0.01)


def test_a_full_inbox_takes_nothing_new(cluster: Cluster, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.INBOX_LIMIT = 2
    monkeypatch.setattr(inbox, "_fullness", inbox._Fullness())
    first = inbox.store(cluster, b"1")
    inbox.store(cluster, b"2")
    monkeypatch.setattr(inbox, "_fullness", inbox._Fullness())
    with pytest.raises(inbox.InboxFull):
        inbox.store(cluster, b"3")
    assert inbox.store(cluster, b"1").pk == first.pk


def test_an_old_batch_that_was_tried_before_keeps_nothing_out(
    cluster: Cluster, ada: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.INBOX_AGE_LIMIT = 60
    inbox.store(cluster, BODY)
    Batch.objects.update(received_at=timezone.now() - timedelta(hours=30), tries=inbox.TRIES, error="It broke.")
    assert claim_all() == []
    assert inbox.try_again(Batch.objects.get(), by=ada)
    monkeypatch.setattr(inbox, "_fullness", inbox._Fullness())
    inbox.store(cluster, b"while it waits")
    inbox.put_back(claim_all()[0], "It broke again.")
    monkeypatch.setattr(inbox, "_fullness", inbox._Fullness())
    inbox.store(cluster, b"while it pauses")


def test_a_claimed_batch_is_nobody_else_s_until_its_lease_ends(cluster: Cluster) -> None:
    batch = inbox.store(cluster, BODY)
    assert [claimed.pk for claimed in claim_all()] == [batch.pk]
    assert claim_all() == []
    assert not inbox.has_waiting()
    with time_machine.travel(timezone.now() + inbox.LEASE + timedelta(seconds=1)):
        assert inbox.has_waiting()
        (again,) = claim_all()
    assert (again.pk, again.tries) == (batch.pk, 2)


def test_the_oldest_batches_are_claimed_first(cluster: Cluster) -> None:
    stored = [inbox.store(cluster, str(number).encode()).pk for number in range(5)]
    assert [batch.pk for batch in inbox.claim(3)] == stored[:3]
    assert [batch.pk for batch in inbox.claim(3)] == stored[3:]


def test_what_waits_is_found_in_an_index_in_its_order_however_much_is_done(cluster: Cluster) -> None:
    inbox.store(cluster, BODY)
    if connection.vendor == "postgresql":
        # As with a table that is worth an index
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
    plan = inbox._waiting()[:3].explain()
    assert "batch_oldest" in plan
    assert "TEMP B-TREE" not in plan


def test_one_that_was_tried_before_comes_first_and_alone(cluster: Cluster) -> None:
    tried, *others = (inbox.store(cluster, str(number).encode()).pk for number in range(3))
    inbox.claim(1)
    with time_machine.travel(timezone.now() + inbox.LEASE + timedelta(seconds=1)):
        assert [batch.pk for batch in inbox.claim(3)] == [tried]
        assert [batch.pk for batch in inbox.claim(3)] == others


def test_of_large_batches_fewer_are_claimed_at_once_and_always_one(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = [inbox.store(cluster, str(number).encode() * size).pk for number, size in enumerate((5, 5, 20, 1))]
    monkeypatch.setattr(inbox, "_CLAIMED_BYTES", 12)
    assert [[batch.pk for batch in inbox.claim(4)] for _ in range(4)] == [stored[:2], stored[2:3], stored[3:], []]


def test_a_batch_that_kills_its_workers_is_set_aside_and_none_that_was_claimed_with_it(cluster: Cluster) -> None:
    _, poison, *_ = (inbox.store(cluster, str(number).encode()).pk for number in range(4))
    now, done = timezone.now(), set()
    for number in range(2 * inbox.TRIES):
        with time_machine.travel(now + number * (inbox.LEASE + timedelta(seconds=1))):
            while batches := inbox.claim(4):
                if poison in {batch.pk for batch in batches}:
                    break
                done |= {batch.pk for batch in batches}
                Batch.objects.filter(pk__in=done).update(state=State.DONE, leased_until=None)
    assert Batch.objects.get(state=State.QUARANTINED).pk == poison
    assert len(done) == 3


def test_a_failed_batch_is_tried_again_after_a_longer_and_longer_pause(cluster: Cluster) -> None:
    inbox.store(cluster, BODY)
    (batch,) = claim_all()
    inbox.put_back(batch, "It broke.")
    assert claim_all() == []
    with time_machine.travel(timezone.now() + timedelta(seconds=5)):
        (again,) = claim_all()
        inbox.put_back(again, "It broke.")
    with time_machine.travel(timezone.now() + timedelta(seconds=15)):
        assert claim_all() == []
    assert Batch.objects.get().error == "It broke."


def test_a_failed_batch_waits_from_the_end_of_its_pause_on(cluster: Cluster) -> None:
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        inbox.store(cluster, BODY)
        (batch,) = claim_all()
        inbox.put_back(batch, "It broke.")
    for seconds, waited in ((3, 0), (4, 0), (104, 100)):
        with time_machine.travel(now + timedelta(seconds=seconds), tick=False):
            assert inbox.oldest_waiting() == timedelta(seconds=waited)


def test_after_five_tries_a_batch_is_set_aside_with_its_error(cluster: Cluster) -> None:
    inbox.store(cluster, BODY)
    now = timezone.now()
    for number in range(inbox.TRIES):
        with time_machine.travel(now + timedelta(hours=number)):
            (batch,) = claim_all()
            inbox.put_back(batch, "It broke.")
    kept = Batch.objects.get()
    assert (kept.state, kept.tries, kept.error) == (State.QUARANTINED, 5, "It broke.")
    assert Activity.objects.get(kind="quarantined").cluster == cluster
    assert kept.alert is not None
    assert kept.alert.detection == "audit_data_damaged"
    with time_machine.travel(now + timedelta(days=1)):
        assert claim_all() == []


def test_batches_set_aside_on_one_day_are_one_alert(cluster: Cluster) -> None:
    for body in (b"1", b"2"):
        inbox.store(cluster, body)
    received = timezone.now()
    Batch.objects.update(received_at=received, state=State.WAITING, tries=inbox.TRIES)
    assert claim_all() == []
    alert = Alert.objects.get()
    assert (alert.title, alert.happened_at) == ("A batch of audit events could not be examined", received)
    assert alert.quarantined_batches.count() == 2


def test_what_was_set_aside_is_examined_again_when_somebody_says_so(cluster: Cluster, ada: User) -> None:
    batch = inbox.store(cluster, BODY)
    assert not inbox.try_again(batch, by=ada)
    Batch.objects.update(state=State.QUARANTINED, tries=inbox.TRIES, error="It broke.")
    assert inbox.try_again(batch, by=ada)
    assert [(claimed.pk, claimed.tries) for claimed in claim_all()] == [(batch.pk, 1)]
    assert Activity.objects.get(kind="tried_again").by == ada


def test_a_batch_that_kills_its_worker_each_time_is_set_aside_too(cluster: Cluster) -> None:
    inbox.store(cluster, BODY)
    now = timezone.now()
    for number in range(inbox.TRIES):
        with time_machine.travel(now + timedelta(hours=number)):
            assert len(claim_all()) == 1
    with time_machine.travel(now + timedelta(days=1)):
        assert claim_all() == []
    kept = Batch.objects.get()
    assert kept.state == State.QUARANTINED
    assert kept.error


def test_what_was_done_meanwhile_is_not_put_back(cluster: Cluster) -> None:
    inbox.store(cluster, BODY)
    (batch,) = claim_all()
    Batch.objects.update(state=State.DONE, leased_until=None)
    inbox.put_back(batch, "Too late.")
    assert state(batch) == State.DONE


def test_a_batch_stored_for_oneself_is_claimed_by_nobody_else(cluster: Cluster) -> None:
    batch, ours = inbox.store_leased(cluster, BODY)
    assert ours
    assert claim_all() == []
    assert inbox.store_leased(cluster, BODY) == (batch, False)


def test_a_batch_left_by_somebody_who_died_can_be_taken_over(cluster: Cluster) -> None:
    batch, _ = inbox.store_leased(cluster, BODY)
    with time_machine.travel(timezone.now() + inbox.LEASE + timedelta(seconds=1)):
        assert inbox.store_leased(cluster, BODY) == (batch, True)


@pytest.mark.django_db(transaction=True)
def test_claimed_at_the_same_time_every_batch_goes_to_one_worker(parallel: Parallel) -> None:
    cluster = Cluster.objects.create(name="prod-eu")
    stored = [inbox.store(cluster, str(number).encode()).pk for number in range(60)]
    claimed: list[int] = []

    def work() -> None:
        while batches := inbox.claim(4):
            claimed.extend(batch.pk for batch in batches)

    parallel(work, 3)
    assert sorted(claimed) == stored
