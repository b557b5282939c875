"""The roles ever seen, and exactly what differs between two versions of one, or between it and another."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from alerts.models import AccessObject, AccessVersion, AuditEvent, Cluster

READ_PODS = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}
READ_SECRETS = {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}


@pytest.fixture
def reader(cluster: Cluster) -> AccessObject:
    return AccessObject.named(cluster, "ClusterRole", "", "reader")


def seen(role: AccessObject, day: int, rules: list[Any] | None, *, event_code: int | None = None) -> AccessVersion:
    """Have a version of a role been seen in a listing or, with a code, in an event; rules of None were not logged."""
    at = datetime(2026, 11, day, tzinfo=UTC)
    event = None
    if event_code is not None:
        event = AuditEvent.objects.create(
            cluster=role.cluster, sha256=f"{role.pk}{day}".rjust(64, "0"), audit_id=str(day), at=at,
            verb="create" if event_code == 201 else "update", username="ann", code=event_code, body={},
        )  # fmt: skip
    manifest = None if rules is None else {"kind": "ClusterRole", "metadata": {"name": role.name}, "rules": rules}
    return AccessVersion.objects.create(
        object=role, source="event" if event else "listing", event=event, at=at, uid="1", resource_version=str(day),
        manifest=manifest,
    )  # fmt: skip


def page_of(client: Client, role: AccessObject, **query: int) -> str:
    return " ".join(client.get(f"/roles/{role.pk}", query).content.decode().split())


def test_what_a_created_role_permits_is_all_new(as_vic: Client, reader: AccessObject) -> None:
    seen(reader, 1, [READ_PODS], event_code=201)
    page = page_of(as_vic, reader)
    assert "New access" in page
    assert "There was no such role before this version" in page


def test_a_role_first_seen_in_a_listing_has_an_unknown_past(as_vic: Client, reader: AccessObject) -> None:
    seen(reader, 1, [READ_PODS])
    page = page_of(as_vic, reader)
    assert "No earlier version was seen" in page
    assert "New access" not in page


def test_the_newest_version_is_held_against_the_one_before(as_vic: Client, reader: AccessObject) -> None:
    seen(reader, 1, [READ_PODS], event_code=201)
    seen(reader, 2, [READ_PODS, READ_SECRETS], event_code=200)
    page = page_of(as_vic, reader)
    assert "New access" in page
    assert "Gained" in page
    assert "kubectl" not in page
    assert "get secrets" in page.split("Gained")[1]
    assert "pods" not in page.split("Gained")[1].split("</ul>")[0]


def test_any_two_versions_can_be_compared_either_way(as_vic: Client, reader: AccessObject) -> None:
    first = seen(reader, 1, [READ_PODS])
    seen(reader, 2, [])
    third = seen(reader, 3, [READ_PODS, READ_SECRETS])
    assert "New access" in page_of(as_vic, reader, old=first.pk, new=third.pk)
    assert "Narrowed" in page_of(as_vic, reader, old=third.pk, new=first.pk)
    assert "Equivalent" in page_of(as_vic, reader, old=first.pk, new=first.pk)


def test_rules_that_were_not_logged_are_unknown_and_not_empty(as_vic: Client, reader: AccessObject) -> None:
    seen(reader, 1, [READ_PODS])
    seen(reader, 2, None, event_code=200)
    assert "The rules of one side were not logged" in page_of(as_vic, reader)


def test_a_role_is_compared_with_another(as_vic: Client, cluster: Cluster, reader: AccessObject) -> None:
    seen(reader, 1, [READ_PODS, READ_SECRETS])
    other = AccessObject.named(cluster, "ClusterRole", "", "pod-viewer")
    seen(other, 1, [READ_PODS])
    page = page_of(as_vic, reader, other=other.pk)
    assert "compared with <code>pod-viewer</code>" in page
    assert "get secrets" in page.split("Gained")[1]


def test_rules_that_cannot_be_read_are_said_to_be_so(as_vic: Client, reader: AccessObject) -> None:
    seen(reader, 1, [{"verbs": "get"}])
    assert "The rules cannot be read" in page_of(as_vic, reader)


def test_a_version_of_another_cluster_is_not_found(as_vic: Client, reader: AccessObject) -> None:
    elsewhere = AccessObject.named(Cluster.objects.create(name="staging"), "ClusterRole", "", "reader")
    version = seen(elsewhere, 1, [READ_PODS])
    for query in ({"new": version.pk}, {"old": version.pk}, {"new": "x"}):
        assert as_vic.get(f"/roles/{reader.pk}", query).status_code == 404


def test_roles_are_found_by_name_and_cluster(as_vic: Client, reader: AccessObject) -> None:
    seen(reader, 1, [READ_PODS])
    AccessObject.named(Cluster.objects.create(name="staging"), "ClusterRole", "", "writer")
    page = as_vic.get("/roles", {"search": "read"}).content.decode()
    assert f"/roles/{reader.pk}" in page
    assert "writer" not in page
    assert "writer" in as_vic.get("/roles", {"cluster": "staging"}).content.decode()


def test_a_role_that_is_written_all_day_has_a_page_all_the_same(
    as_vic: Client, reader: AccessObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerts.views.role.VERSIONS_A_PAGE", 2)
    versions = [seen(reader, day, [READ_PODS] if day < 2 else [READ_SECRETS], event_code=200) for day in range(1, 6)]
    page = page_of(as_vic, reader)
    assert "1–2 of 5" in page
    assert page.count('<a href="?new=') == 2
    assert f'<option value="{versions[3].pk}" selected>' in page
    # What it is compared with is on no page that is shown.
    page = page_of(as_vic, reader, new=versions[1].pk, page=1)
    assert "Mixed" in page
    assert f'<option value="{versions[0].pk}" selected>' in page
    assert f"?new={versions[1].pk}&amp;page=2" in page
    assert "5–5 of 5" in page_of(as_vic, reader, page=3)
