"""In which order writes of an object took effect, whenever their requests began and ended."""

import itertools
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.utils import timezone

from alerts import rbac
from alerts.models import AccessVersion, Alert, Cluster, Watch
from alerts.models.access import revision_of
from alerts.services import inventory, investigation
from alerts.services.investigation.case import Case
from tests.integration.reader import MORE, at, change, deletion, history, reader, take_in
from tests.unit.audit.events import RULES, UID, creation, metadata_only, role

BEGAN = datetime(2026, 11, 23, 18, tzinfo=UTC)
MADE = creation(responseObject=role() | {"rules": MORE}, **at(1))


def during(first: int, last: int) -> dict[str, str]:
    """Return the times of a request that began and ended at these seconds."""
    return at(first) | {"stageTimestamp": f"2026-11-23T18:00:{last:02}.000000Z"}


CONTAINED = change(5, "4712", [], auditID="contained")
# It waited with the rest of its body until the role was contained.
SLOW = change(2, "4713", MORE, auditID="slow") | during(2, 9)


def versions() -> list[str]:
    return [version or "unknown" for _, version, _ in history()]


@pytest.mark.parametrize("events", list(itertools.permutations([MADE, CONTAINED, SLOW])))
@pytest.mark.parametrize("together", [True, False], ids=["together", "one by one"])
def test_a_slow_write_that_undoes_a_containment_is_found(
    cluster: Cluster, events: tuple[dict[str, Any], ...], together: bool
) -> None:
    for batch in [events] if together else [(each,) for each in events]:
        take_in(cluster, *batch)
    assert versions() == ["4711", "4712", "4713"]
    standing = [alert.title for alert in Alert.objects.order_by("pk") if alert.is_open()]
    assert sorted(standing) == ["ClusterRole reader created", "ClusterRole reader widened"]
    assert inventory.access(cluster).rules(rbac.RoleRef("ClusterRole", "reader")).rules


def test_what_was_before_a_slow_write_is_what_it_undid(cluster: Cluster) -> None:
    take_in(cluster, MADE, CONTAINED, SLOW)
    alert = Alert.objects.get(title="ClusterRole reader widened")
    before = Case(alert).before
    assert before is not None
    assert before["rules"] == []
    investigation.gather(alert)


def test_a_slow_write_trips_a_watch_that_began_after_it(cluster: Cluster) -> None:
    take_in(cluster, MADE)
    alert = Alert.objects.get()
    watch = Watch.objects.create(
        alert=alert, condition=Watch.Condition.ACTOR_WRITES, name=alert.actor, until=timezone.now() + timedelta(9999)
    )
    Watch.objects.filter(pk=watch.pk).update(since=BEGAN + timedelta(seconds=7))
    take_in(cluster, SLOW)
    watch.refresh_from_db()
    assert watch.tripped_at is not None


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_write_whose_answer_is_read_slowly_does_not_hide_one_after_it(
    cluster: Cluster, order: tuple[int, ...]
) -> None:
    events = [creation(**at(1)), change(2, "4712", [], auditID="held") | during(2, 9), change(3, "4713")]
    for position in order:
        take_in(cluster, events[position])
    assert versions() == ["4711", "4712", "4713"]
    assert "ClusterRole reader widened" in {alert.title for alert in Alert.objects.all() if alert.is_open()}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_deletion_comes_after_all_that_was_written_before(cluster: Cluster, order: tuple[int, ...]) -> None:
    events = [creation(**at(1)), change(2, "4712") | during(2, 9), deletion(3) | during(3, 4)]
    for position in order:
        take_in(cluster, events[position])
    assert history() == [(UID, "4711", False), (UID, "4712", False), (UID, "", True)]
    assert reader().deleted_at is not None


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_where_nobody_knows_a_number_the_end_of_the_request_counts(cluster: Cluster, order: tuple[int, ...]) -> None:
    events = [creation(**at(1)), change(5, "b2", []), change(2, "a3", auditID="slow") | during(2, 9)]
    for position in order:
        take_in(cluster, events[position])
    assert versions() == ["4711", "b2", "a3"]


def test_a_slow_write_of_which_nobody_knows_what_it_made_counts_by_its_end(cluster: Cluster) -> None:
    take_in(cluster, creation(**at(1)), change(5, "4712", []), metadata_only(change(2, "") | during(2, 9)))
    assert versions() == ["4711", "4712", "unknown"]


def test_revisions_that_began_anew_in_a_restored_cluster_do_not_come_before_what_is_long_over(
    cluster: Cluster,
) -> None:
    restored = {"requestReceivedTimestamp": "2026-11-23T19:00:00Z", "stageTimestamp": "2026-11-23T19:00:00Z"}
    take_in(cluster, creation(**at(1)), change(2, "9000", []))
    take_in(cluster, change(0, "5000", RULES, auditID="restored") | restored)
    assert versions() == ["4711", "9000", "5000"]
    assert Alert.objects.filter(title="ClusterRole reader widened").exists()


@pytest.mark.parametrize(
    ("resource_version", "revision"), [("4711", 4711), ("", None), ("0", None), ("01", None), ("a1", None), ("²", None)]
)
def test_a_resource_version_is_a_revision_where_it_is_a_plain_number(
    resource_version: str, revision: int | None
) -> None:
    assert revision_of(resource_version) == revision
    assert revision_of("9" * 19) is None


def test_what_was_recorded_before_is_put_into_its_order(cluster: Cluster) -> None:
    take_in(cluster, MADE, CONTAINED, SLOW)
    for version in AccessVersion.objects.select_related("event"):
        assert version.event is not None
        AccessVersion.objects.filter(pk=version.pk).update(at=version.event.at, revision=None)
    assert versions() == ["4711", "4713", "4712"]
    import_module("alerts.migrations.0009_order_of_versions").order(apps, None)
    assert versions() == ["4711", "4712", "4713"]
    assert set(AccessVersion.objects.values_list("revision", flat=True)) == {4711, 4712, 4713}
