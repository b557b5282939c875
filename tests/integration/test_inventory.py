import itertools
from typing import Any

import pytest
import time_machine

from alerts.audit.decode import decode
from alerts.models import AccessObject, AccessVersion, AuditEvent, Batch, Cluster
from alerts.rbac import Request, RoleRef
from alerts.services import inbox, intake, inventory
from tests.conftest import RECORDINGS
from tests.integration.conftest import Live
from tests.unit.audit.events import RULES, UID, creation, decoded, event_list, metadata_only, role

RBAC = {"apiGroup": "rbac.authorization.k8s.io", "apiVersion": "v1"}
ADDRESS = "/apis/rbac.authorization.k8s.io/v1/clusterroles/reader"
MORE = [*RULES, {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
STATUS = {"kind": "Status", "status": "Success", "details": {"name": "reader", "uid": UID}}


def at(second: int) -> dict[str, str]:
    return {"requestReceivedTimestamp": f"2026-11-23T18:00:{second:02}.000000Z"}


def change(second: int, version: str, rules: list[Any] = MORE, **changes: Any) -> dict[str, Any]:
    fields = {
        "verb": "patch",
        "requestURI": ADDRESS,
        "responseStatus": {"code": 200},
        "requestObject": [{"op": "replace", "path": "/rules", "value": rules}],
        "responseObject": role(resourceVersion=version) | {"rules": rules},
    }
    return creation(**(fields | at(second) | changes))


def deletion(second: int, **changes: Any) -> dict[str, Any]:
    fields = {
        "verb": "delete",
        "requestURI": ADDRESS,
        "responseStatus": {"code": 200},
        "requestObject": None,
        "responseObject": STATUS,
    }
    return creation(**(fields | at(second) | changes))


def take_in(cluster: Cluster, *events: dict[str, Any]) -> None:
    batch, _ = inbox.store_leased(cluster, event_list(*events))
    assert not intake.examine(batch).error


def reader() -> AccessObject:
    return AccessObject.objects.get(name="reader")


def history() -> list[tuple[str, str, bool]]:
    versions = reader().versions.order_by("at", "pk")
    return [(version.uid, version.resource_version, version.deletion) for version in versions]


def test_a_created_role_has_its_first_version(cluster: Cluster) -> None:
    take_in(cluster, creation(responseObject=role(managedFields=[{"manager": "kubectl"}])))
    version = reader().latest()
    assert version is not None
    assert (version.uid, version.resource_version, version.source) == (UID, "4711", "event")
    assert version.manifest is not None
    assert version.manifest["rules"] == RULES
    assert "managedFields" not in version.manifest["metadata"]
    assert version.event == AuditEvent.objects.get()


def test_of_a_patch_the_answer_counts_and_not_the_patch(cluster: Cluster) -> None:
    take_in(cluster, creation(**at(1)), change(2, "4712"))
    version = reader().latest()
    assert version is not None
    assert version.manifest is not None
    assert version.manifest["rules"] == MORE


def test_without_an_answer_a_patched_role_is_unknown_and_not_unchanged(cluster: Cluster) -> None:
    take_in(cluster, creation(**at(1)), change(2, "4712", responseObject=None, level="Request"))
    version = reader().latest()
    assert version is not None
    assert version.manifest is None


def test_at_level_request_what_was_sent_is_known(cluster: Cluster) -> None:
    take_in(cluster, creation(responseObject=None, level="Request"))
    version = reader().latest()
    assert version is not None
    assert version.manifest is not None
    assert version.manifest["rules"] == RULES


def test_a_write_that_changed_nothing_makes_no_version(cluster: Cluster) -> None:
    take_in(cluster, creation(**at(1)), change(2, "4711", RULES))
    assert history() == [(UID, "4711", False)]
    assert AccessVersion.objects.get(event__verb="create") == reader().latest()


def test_a_deleted_role_is_gone(cluster: Cluster) -> None:
    take_in(cluster, creation(**at(1)), deletion(2))
    assert history()[-1] == (UID, "", True)
    assert reader().deleted_at is not None


def test_a_role_that_finalizers_hold_is_not_gone(cluster: Cluster) -> None:
    held = role(resourceVersion="4712", deletionTimestamp="2026-11-23T18:00:02Z", finalizers=["x/y"])
    take_in(cluster, creation(**at(1)), deletion(2, responseObject=held))
    assert history()[-1] == (UID, "4712", False)
    assert reader().deleted_at is None


@pytest.mark.parametrize(
    "event",
    [
        deletion(2, requestObject={"kind": "DeleteOptions", "dryRun": ["All"]}),
        deletion(2, responseStatus={"code": 403}),
        deletion(2, stage="RequestReceived"),
        change(2, "4712", requestURI=f"{ADDRESS}?dryRun=All"),
        change(2, "4712", responseStatus={"code": 409}),
    ],
    ids=["rehearsed deletion", "refused deletion", "not yet deleted", "rehearsed change", "conflict"],
)
def test_what_did_not_happen_leaves_no_version(cluster: Cluster, event: dict[str, Any]) -> None:
    take_in(cluster, creation(**at(1)), event)
    assert history() == [(UID, "4711", False)]


def test_at_level_metadata_nobody_knows_whether_a_role_is_gone(cluster: Cluster) -> None:
    take_in(cluster, creation(**at(1)), metadata_only(deletion(2)))
    latest = reader().latest()
    assert latest is not None
    assert (latest.manifest, latest.deletion) == (None, False)
    assert reader().deleted_at is None


def test_a_deletecollection_takes_every_role_it_lists(cluster: Cluster) -> None:
    # The items of a list leave out their kind.
    items = [{"metadata": each["metadata"]} for each in (role(), role("writer", uid="w"))]
    gone = {"kind": "ClusterRoleList", "items": items}
    collection = deletion(
        2, verb="deletecollection", objectRef={"resource": "clusterroles"} | RBAC, responseObject=gone
    )
    take_in(cluster, creation(**at(1)), creation("writer", responseObject=role("writer", uid="w"), **at(1)), collection)
    assert AccessObject.objects.exclude(deleted_at=None).count() == 2


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_history_is_the_same_in_whatever_order_it_arrives(cluster: Cluster, order: tuple[int, ...]) -> None:
    again = creation(responseObject=role(uid="another", resourceVersion="4800"), **at(4))
    events = [creation(**at(1)), change(2, "4712"), deletion(3), again]
    for position in order:
        take_in(cluster, events[position])
    assert history() == [(UID, "4711", False), (UID, "4712", False), (UID, "", True), ("another", "4800", False)]
    assert reader().deleted_at is None


def test_access_is_what_the_newest_versions_say(cluster: Cluster) -> None:
    body = b"\n".join((RECORDINGS / f"{name}.jsonl").read_bytes() for name in ("bootstrap", "clusterrole-takeover"))
    batch, _ = inbox.store_leased(cluster, body)
    intake.examine(batch)
    access = inventory.access(cluster)
    (answer,) = [
        each
        for each in access.who_can(Request("list", resource="secrets"))
        if each.source.role.name == "metrics-scraper-v2"
    ]
    assert answer.subject.name == "metrics-scraper"


def test_access_at_a_moment_is_what_was_known_to_be_then(cluster: Cluster) -> None:
    take_in(cluster, creation(**at(1)), change(5, "4712"), deletion(9))
    ref = RoleRef("ClusterRole", "reader")

    def rules(second: int) -> int | None:
        access = inventory.access(cluster, decoded(creation(**at(second))).at)
        return len(access.rules(ref).rules) if ref in access.roles else None

    assert [rules(second) for second in (0, 1, 4, 5, 8, 9)] == [None, 1, 1, 2, 2, None]
    assert ref not in inventory.access(cluster).roles


def test_access_falls_back_to_the_version_before_an_unknown_one(cluster: Cluster) -> None:
    take_in(cluster, creation(**at(1)), metadata_only(change(2, "4712")))
    assert len(inventory.access(cluster).rules(RoleRef("ClusterRole", "reader")).rules) == 1


def test_a_role_that_was_only_attempted_is_no_access(cluster: Cluster) -> None:
    take_in(cluster, creation(responseStatus={"code": 403}, responseObject={"kind": "Status"}))
    assert not inventory.access(cluster).roles


def test_what_no_api_server_would_accept_is_left_out(cluster: Cluster) -> None:
    take_in(cluster, creation("odd", responseObject=role("odd") | {"rules": "all of them"}), creation(**at(1)))
    assert set(inventory.access(cluster).roles) == {RoleRef("ClusterRole", "reader")}


def test_every_recorded_write_becomes_a_version_once(cluster: Cluster) -> None:
    for path in sorted(RECORDINGS.glob("*.jsonl")):
        inbox.store(cluster, path.read_bytes())
    for batch in inbox.claim(10):
        intake.examine(batch)
    written = [
        event
        for path in sorted(RECORDINGS.glob("*.jsonl"))
        for event in decode(path.read_bytes()).events
        if event.writes_rbac and event.succeeded and not event.dry_run
    ]
    assert Batch.objects.filter(state="done").count() == 6
    assert len(written) > 20
    assert AccessVersion.objects.filter(manifest__isnull=False).count() == len(written)


# Listings of a live cluster


def test_without_a_connection_a_refresh_says_what_is_missing(cluster: Cluster) -> None:
    assert not inventory.refresh(cluster)
    cluster.refresh_from_db()
    assert cluster.inventory_error == "Rolecall has no API address for cluster prod-eu."
    assert cluster.inventory_at is None


def test_a_listing_brings_what_no_event_told(cluster: Cluster, live: Live) -> None:
    live.manifests = [role(managedFields=[{"manager": "helm"}])]
    assert inventory.refresh(cluster)
    version = reader().latest()
    assert version is not None
    assert (version.source, version.resource_version, version.event) == ("listing", "4711", None)
    assert version.manifest is not None
    assert "managedFields" not in version.manifest["metadata"]
    cluster.refresh_from_db()
    assert cluster.inventory_at is not None
    assert cluster.inventory_error == ""


def test_a_listing_that_finds_nothing_new_writes_nothing(cluster: Cluster, live: Live) -> None:
    take_in(cluster, creation())
    live.manifests = [role()]
    inventory.refresh(cluster)
    inventory.refresh(cluster)
    assert [version.source for version in reader().versions.all()] == ["event"]


def test_what_a_listing_misses_is_gone(cluster: Cluster, live: Live) -> None:
    take_in(cluster, creation())
    inventory.refresh(cluster)
    assert history()[-1] == (UID, "", True)
    assert reader().deleted_at is not None
    inventory.refresh(cluster)
    assert len(history()) == 2


def test_the_event_behind_what_a_listing_saw_takes_its_place(cluster: Cluster, live: Live) -> None:
    live.manifests = [role()]
    inventory.refresh(cluster)
    live.manifests = []
    inventory.refresh(cluster)
    take_in(cluster, creation(**at(1)), deletion(2))
    found = [(version.source, version.at.second, version.deletion) for version in reader().versions.order_by("at")]
    assert found == [("event", 1, False), ("event", 2, True)]


def test_a_listing_after_a_cluster_s_fast_clock_is_still_the_newest(cluster: Cluster, live: Live) -> None:
    with time_machine.travel("2026-11-23T17:00:00Z", tick=False):
        take_in(cluster, creation(**at(1)))
        inventory.refresh(cluster)
    assert reader().deleted_at is not None


def test_what_came_back_after_a_listing_missed_it_stands_again(cluster: Cluster, live: Live) -> None:
    take_in(cluster, creation())
    inventory.refresh(cluster)
    live.manifests = [role()]
    inventory.refresh(cluster)
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
    inventory.refresh(cluster)
    assert reader().deleted_at is None


def test_a_failing_cluster_says_so_and_loses_nothing(cluster: Cluster) -> None:
    take_in(cluster, creation())
    cluster.api_address, cluster.readable, cluster.private_address_allowed = "https://127.0.0.1:1", True, True
    cluster.set_api_token("token")
    cluster.save()
    assert not inventory.refresh(cluster)
    cluster.refresh_from_db()
    assert "127.0.0.1:1" in cluster.inventory_error
    assert reader().deleted_at is None


def test_clusters_that_were_never_listed_are_due(cluster: Cluster) -> None:
    assert not inventory.listable().exists()
    cluster.api_address, cluster.readable = "https://127.0.0.1:1", True
    cluster.save()
    assert inventory.never_listed().get() == cluster
    inventory.refresh(cluster)
    assert not inventory.never_listed().exists()
    assert inventory.listable().get() == cluster
