"""What an investigation found stays known when the batches it was found in are purged."""

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from alerts.models import Alert, Batch, Cluster, HeldRequests
from alerts.services import investigation, retention
from alerts.services.investigation import history
from tests.recorded import ATTACK, BEFORE, as_list, events, gathered, take_in, take_in_recordings
from tests.unit.audit.events import event_list, reading


@pytest.fixture
def takeover(cluster: Cluster) -> Alert:
    return gathered(take_in_recordings(cluster, *BEFORE, ATTACK)["ClusterRole metrics-scraper-v2 created"])


def purge() -> None:
    Batch.objects.update(received_at=timezone.now() - timedelta(days=400))
    retention.purge()
    assert not Batch.objects.exists()


def known(alert: Alert) -> dict[str, object]:
    """What the alert tells but for how long ago it was, which changes by itself."""
    return {"score": alert.score, "story": alert.story} | {
        key: alert.evidence[key] for key in ("creator", "permissions", "use", "remedy")
    }


def test_what_was_found_is_told_as_before(takeover: Alert) -> None:
    before = known(takeover)
    purge()
    assert known(gathered(takeover)) == before
    assert known(gathered(takeover)) == before


def test_what_is_done_later_is_added(takeover: Alert, cluster: Cluster) -> None:
    purge()
    use = next(each for each in events(ATTACK) if "metrics-scraper-v2" in str(each.get("annotations")))
    later = {"auditID": "later", "requestReceivedTimestamp": timezone.now().isoformat()}
    take_in(cluster, as_list([use | later]))
    assert gathered(takeover).evidence["use"]["permitted"] == takeover.evidence["use"]["permitted"] + 1


def test_what_there_was_no_room_for_is_said_to_be_gone(takeover: Alert, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "REQUESTS", 5)
    assert gathered(takeover).evidence["use"]["searched"]["gaps"] == ""
    purge()
    use = gathered(takeover).evidence["use"]
    assert use["permitted"] == 5
    assert "only a part is held, the rest is purged" in use["searched"]["gaps"]


def test_what_a_lost_key_hides_is_left_alone_until_the_key_is_back(takeover: Alert, settings: Settings) -> None:
    purge()
    keys, settings.CREDENTIAL_KEYS = settings.CREDENTIAL_KEYS, ["another key, of more than thirty-two characters"]
    assert "CREDENTIAL_KEYS" in gathered(takeover).evidence["use"]["searched"]["gaps"]
    settings.CREDENTIAL_KEYS = keys
    assert gathered(takeover).evidence["use"]["permitted"] == 9


def test_it_is_held_until_the_alert_is_closed_for_as_long_as_batches_are_kept(takeover: Alert) -> None:
    retention.purge()
    assert HeldRequests.objects.count() == 1
    long_ago = timezone.now() - timedelta(days=400)
    Alert.objects.filter(pk=takeover.pk).update(status="closed", verdict="benign", closed_at=long_ago)
    retention.purge()
    assert not HeldRequests.objects.exists()


def test_of_an_alert_with_no_history_nothing_is_purged(cluster: Cluster) -> None:
    (alert,) = take_in(
        cluster, event_list(reading() | {"impersonatedUser": {"username": "a", "groups": ["system:masters"]}})
    )
    investigation.gather(alert)
    assert gathered(alert).evidence["use"]["searched"]["gaps"] == ""
