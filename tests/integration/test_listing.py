"""What a listing of a live cluster adds to what its events told."""

from typing import Any

import pytest
import time_machine
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from alerts.models import AccessVersion, Cluster
from alerts.services import listing, reconciliation
from tests.integration.conftest import Live
from tests.integration.reader import at, change, deletion, history, reader, take_in
from tests.unit.audit.events import UID, creation, metadata_only, role


def test_without_a_connection_a_refresh_says_what_is_missing(cluster: Cluster) -> None:
    assert not listing.refresh(cluster)
    cluster.refresh_from_db()
    assert cluster.inventory_error == "Rolecall has no API address for cluster prod-eu."
    assert cluster.inventory_at is None


def test_a_listing_brings_what_no_event_told(cluster: Cluster, live: Live) -> None:
    live.manifests = [role(managedFields=[{"manager": "helm"}])]
    assert listing.refresh(cluster)
    version = reader().latest()
    assert version is not None
    assert (version.source, version.resource_version, version.event) == ("listing", "4711", None)
    assert version.manifest is not None
    assert "managedFields" not in version.manifest["metadata"]
    cluster.refresh_from_db()
    assert cluster.inventory_at is not None
    assert cluster.inventory_error == ""


def test_what_a_listing_shows_again_is_believed_and_told_once(cluster: Cluster, live: Live) -> None:
    Cluster.objects.update(inventory_at=timezone.now())
    take_in(cluster, creation(**at(1)), change(2, "4712"))
    live.manifests = [role()]
    listing.refresh(cluster)
    listing.refresh(cluster)
    returned = reader().latest()
    assert returned is not None
    assert returned.manifest is not None
    assert (returned.source, returned.manifest["rules"], reader().versions.count()) == ("listing", role()["rules"], 3)
    assert reconciliation.unexplained(cluster).get() == returned


def test_a_request_that_changed_nothing_and_does_not_say_so_is_no_news(cluster: Cluster, live: Live) -> None:
    take_in(cluster, creation(**at(1)), metadata_only(change(2, "4711")))
    live.manifests = [role()]
    listing.refresh(cluster)
    assert reader().versions.count() == 2


def test_what_was_written_while_a_listing_ran_is_not_undone_by_it(
    cluster: Cluster, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(cluster, creation(**at(1)))

    def list_all(kind: str) -> list[dict[str, Any]]:
        if kind != "ClusterRole":
            return []
        take_in(cluster, change(2, "4712"))
        return [role()]

    monkeypatch.setattr(live, "list_all", list_all)
    listing.refresh(cluster)
    assert [version for _, version, _ in history()] == ["4711", "4712"]


def test_a_listing_that_finds_nothing_new_writes_nothing(cluster: Cluster, live: Live) -> None:
    take_in(cluster, creation())
    live.manifests = [role()]
    listing.refresh(cluster)
    listing.refresh(cluster)
    assert [version.source for version in reader().versions.all()] == ["event"]


def test_what_a_listing_misses_is_gone(cluster: Cluster, live: Live) -> None:
    take_in(cluster, creation())
    listing.refresh(cluster)
    assert history()[-1] == (UID, "", True)
    assert reader().deleted_at is not None
    listing.refresh(cluster)
    assert len(history()) == 2


def test_the_event_behind_what_a_listing_saw_takes_its_place(cluster: Cluster, live: Live) -> None:
    live.manifests = [role()]
    listing.refresh(cluster)
    live.manifests = []
    listing.refresh(cluster)
    take_in(cluster, creation(**at(1)), deletion(2))
    found = [(version.source, version.at.second, version.deletion) for version in reader().versions.order_by("at")]
    assert found == [("event", 1, False), ("event", 2, True)]


def test_a_listing_after_a_cluster_s_fast_clock_is_still_the_newest(cluster: Cluster, live: Live) -> None:
    with time_machine.travel("2026-11-23T17:00:00Z", tick=False):
        take_in(cluster, creation(**at(1)))
        listing.refresh(cluster)
    assert reader().deleted_at is not None


def test_what_came_back_after_a_listing_missed_it_stands_again(cluster: Cluster, live: Live) -> None:
    take_in(cluster, creation())
    listing.refresh(cluster)
    live.manifests = [role()]
    listing.refresh(cluster)
    assert reader().deleted_at is None
    assert history() == [(UID, "4711", False)]


def test_a_role_written_while_the_listing_ran_is_not_taken_for_gone(
    cluster: Cluster, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(cluster, creation(**at(1)))

    def meanwhile(kind: str) -> list[dict[str, Any]]:
        if kind == "ClusterRole":
            take_in(cluster, change(2, "4712"))
        return []

    monkeypatch.setattr(live, "list_all", meanwhile)
    listing.refresh(cluster)
    assert reader().deleted_at is None


def test_a_failing_cluster_says_so_and_loses_nothing(cluster: Cluster) -> None:
    take_in(cluster, creation())
    cluster.api_address, cluster.readable, cluster.private_address_allowed = "https://127.0.0.1:1", True, True
    cluster.set_api_token("token")
    cluster.save()
    assert not listing.refresh(cluster)
    cluster.refresh_from_db()
    assert "127.0.0.1:1" in cluster.inventory_error
    assert reader().deleted_at is None


def test_clusters_that_were_never_listed_are_due(cluster: Cluster) -> None:
    assert not listing.listable().exists()
    cluster.api_address, cluster.readable = "https://127.0.0.1:1", True
    cluster.save()
    assert listing.never_listed().get() == cluster
    listing.refresh(cluster)
    assert not listing.never_listed().exists()
    assert listing.listable().get() == cluster


def test_however_many_objects_there_are_a_listing_of_what_is_known_holds_none_of_them(
    cluster: Cluster, live: Live, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    monkeypatch.setattr(listing, "_AT_ONCE", 7)
    live.manifests = [role(name=f"reader-{number}", uid=f"{number}") for number in range(30)]
    assert listing.refresh(cluster)
    assert AccessVersion.objects.filter(source="listing", explanation="baseline", object__deleted_at=None).count() == 30
    with django_assert_max_num_queries(6) as asked:
        assert listing.refresh(cluster)
    assert not [query for query in asked.captured_queries if "UPDATE" in query["sql"] and "access" in query["sql"]]
    live.manifests = live.manifests[:-1]
    assert listing.refresh(cluster)
    assert [version.object.name for version in AccessVersion.objects.filter(deletion=True)] == ["reader-29"]
