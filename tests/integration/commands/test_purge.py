from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone
from pytest_django import Settings

from alerts import tasks
from alerts.models import Alert, AuditEvent, Batch, Cluster, DamagedItem
from alerts.services import inbox, retention
from tests.factories import make_alert
from tests.recorded import ATTACK, take_in_recordings

State = Batch.State


def batch(cluster: Cluster, content: str, *, days: float = 0, state: str = State.DONE) -> Batch:
    stored = inbox.store(cluster, content.encode())
    received = timezone.now() - timedelta(days=days)
    leased_until = timezone.now() if state == State.LEASED else None
    Batch.objects.filter(pk=stored.pk).update(state=state, received_at=received, leased_until=leased_until)
    return stored


def left() -> list[int]:
    return list(Batch.objects.order_by("pk").values_list("pk", flat=True))


def purge(*options: str) -> str:
    said = StringIO()
    call_command("purge", *options, stdout=said)
    return said.getvalue()


def test_what_is_past_its_time_goes_and_what_is_not_stays(cluster: Cluster, settings: Settings) -> None:
    settings.RETENTION_DAYS = 2
    batch(cluster, "old", days=2.1)
    young = batch(cluster, "young", days=1.9)
    assert "deleted 1 batches for their age" in purge()
    assert left() == [young.pk]


@pytest.mark.parametrize("state", [State.WAITING, State.LEASED, State.QUARANTINED])
def test_what_was_not_examined_stays_however_old_and_large(cluster: Cluster, settings: Settings, state: str) -> None:
    settings.RETENTION_DAYS, settings.RETENTION_GIB = 1, 0
    kept = batch(cluster, "not examined", days=1000, state=state)
    purge()
    assert left() == [kept.pk]


def test_the_oldest_go_until_there_is_room_in_each_cluster(cluster: Cluster, settings: Settings) -> None:
    other = Cluster.objects.create(name="other")
    stored = [batch(cluster, str(number)) for number in range(5)]
    spared = batch(other, "1")
    size = len(Batch.objects.get(pk=stored[0].pk).body)
    settings.RETENTION_GIB = 3 * size / retention.BYTES_A_GIB
    purge()
    assert left() == [*(each.pk for each in stored[2:]), spared.pk]


def test_what_is_mentioned_of_a_batch_takes_room_as_its_body_does(cluster: Cluster, settings: Settings) -> None:
    stored = [batch(cluster, str(number)) for number in range(3)]
    size = len(Batch.objects.get(pk=stored[0].pk).body)
    # Two bytes a letter.
    Batch.objects.filter(pk=stored[0].pk).update(mentions="\nclient " + "ü" * 1000 + "\n")
    settings.RETENTION_GIB = (3 * size + 2009) / retention.BYTES_A_GIB
    assert "and 0 for their size" in purge("--dry-run")
    settings.RETENTION_GIB = (3 * size + 2008) / retention.BYTES_A_GIB
    assert "and 1 for their size, 2.0" in purge()
    assert left() == [each.pk for each in stored[1:]]


def test_a_dry_run_says_what_would_go_and_touches_nothing(cluster: Cluster, settings: Settings) -> None:
    settings.RETENTION_DAYS = 1
    for number in range(3):
        batch(cluster, str(number), days=5)
    assert "prod-eu: would delete 3 batches for their age and 0 for their size" in purge("--dry-run")
    assert len(left()) == 3


def test_more_than_go_at_once_all_go(cluster: Cluster, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_AT_ONCE", 2)
    settings.RETENTION_DAYS, settings.RETENTION_GIB = 1, 0
    for number in range(5):
        batch(cluster, f"old {number}", days=5)
        batch(cluster, f"large {number}")
    tasks.purge()
    assert left() == []


def test_evidence_stays_when_its_batch_goes_and_the_batch_can_come_again(cluster: Cluster, settings: Settings) -> None:
    take_in_recordings(cluster, ATTACK)
    gone = Batch.objects.get()
    DamagedItem.objects.create(cluster=cluster, batch=gone, sha256="0" * 64, position=0, reason="x", size=1, body=b"")
    alerts, events = Alert.objects.count(), AuditEvent.objects.count()
    settings.RETENTION_GIB = 0
    purge()
    assert left() == []
    assert DamagedItem.objects.get().batch is None
    assert take_in_recordings(cluster, ATTACK) == {}
    assert (Alert.objects.count(), AuditEvent.objects.count()) == (alerts, events)


def test_damage_that_no_alert_is_about_goes_when_it_is_old(cluster: Cluster, settings: Settings) -> None:
    settings.RETENTION_DAYS = 2
    now = timezone.now()
    alert = make_alert(cluster)
    for number, (days, about) in enumerate(((3, None), (3, alert), (1, None))):
        DamagedItem.objects.create(
            cluster=cluster,
            sha256=f"{number:064}",
            position=0,
            reason="x",
            size=1,
            body=b"",
            received_at=now - timedelta(days=days),
            alert=about,
        )
    assert "would delete 0 batches" in purge("--dry-run")
    assert DamagedItem.objects.count() == 3
    assert "and 1 damaged items that no alert is about." in purge()
    assert sorted(DamagedItem.objects.values_list("sha256", flat=True)) == [f"{1:064}", f"{2:064}"]
