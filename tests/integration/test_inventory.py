import itertools
from datetime import timedelta
from typing import Any

import pytest

from alerts.audit.decode import decode
from alerts.models import AccessObject, AccessVersion, AuditEvent, Batch, Cluster
from alerts.rbac import Request, RoleRef
from alerts.services import inbox, intake, inventory
from tests.conftest import RECORDINGS
from tests.integration.reader import ADDRESS, MORE, RBAC, at, change, deletion, history, reader, take_in
from tests.unit.audit.events import RULES, UID, creation, decoded, metadata_only, role
from tests.unit.detections.examples import bare


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


@pytest.mark.parametrize("kind", ["PartialObjectMetadata", "Table"])
def test_what_was_sent_whole_is_the_version_that_an_abridged_answer_names(cluster: Cluster, kind: str) -> None:
    sent = role() | {"rules": MORE}
    answer = bare(role(resourceVersion="4712"), kind)
    take_in(cluster, creation(**at(1)), change(2, "4712", verb="update", requestObject=sent, responseObject=answer))
    assert history() == [(UID, "4711", False), (UID, "4712", False)]
    assert content() == MORE


@pytest.mark.parametrize(
    ("named", "known"),
    [({"resourceVersion": "4711"}, RULES), ({}, None), ({"resourceVersion": "4710"}, None)],
)
def test_a_patch_of_nothing_but_metadata_leaves_the_rules_of_the_version_that_it_names(
    cluster: Cluster, named: dict[str, str], known: Any
) -> None:
    patch = {"metadata": named | {"labels": {"a": "b"}}}
    answer = bare(role(resourceVersion="4712", labels={"a": "b"}))
    take_in(cluster, creation(**at(1)), change(2, "4712", requestObject=patch, responseObject=answer))
    assert content() == known
    assert history()[-1][1] == ("4712" if known else "")


@pytest.mark.parametrize("kind", ["PartialObjectMetadata", "Table"])
def test_a_role_that_a_finalizer_keeps_permits_what_it_did_however_its_deletion_is_answered(
    cluster: Cluster, kind: str
) -> None:
    held = role(resourceVersion="4712", deletionTimestamp="2026-11-23T18:00:02Z", finalizers=["x/y"])
    take_in(cluster, creation(**at(1)), deletion(2, responseObject=bare(held, kind)))
    assert reader().deleted_at is None
    assert inventory.access(cluster).roles[RoleRef("ClusterRole", "reader")].rules


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("bared", [False, True])
def test_a_role_is_gone_with_the_last_finalizer_that_kept_it(
    cluster: Cluster, order: tuple[int, ...], *, bared: bool
) -> None:
    ending = {"deletionTimestamp": "2026-11-23T18:00:02Z"}
    kept = role(resourceVersion="4712", finalizers=["foregroundDeletion"], **ending)
    freed = role(resourceVersion="4712", **ending)
    patch = {"metadata": {"resourceVersion": "4712", "finalizers": None}}
    answer = bare(freed) if bared else freed
    last = change(3, "4712", requestObject=patch, responseObject=answer)
    events = [creation(**at(1)), deletion(2, responseObject=kept), last]
    for position in order:
        take_in(cluster, events[position])
    assert history() == [(UID, "4711", False), (UID, "4712", False), (UID, "", True)]
    assert reader().deleted_at is not None


def content() -> Any:
    """Return the rules of the newest version, None where they are unknown."""
    version = reader().latest()
    assert version is not None
    return version.manifest and version.manifest["rules"]


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
        began = decoded(creation(**at(second))).at
        assert began is not None
        access = inventory.access(cluster, began + timedelta(milliseconds=4))
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


FAILED: dict[str, Any] = {"responseStatus": {"code": 504}, "responseObject": {"kind": "Status", "metadata": {}}}


@pytest.mark.parametrize("verb", ["patch", "update", "delete"])
def test_what_became_of_a_role_that_a_failed_request_may_have_written_is_unknown(cluster: Cluster, verb: str) -> None:
    sent = role() | {"rules": MORE}
    take_in(cluster, creation(**at(1)), change(2, "", verb=verb, requestObject=sent, **FAILED))
    assert history() == [(UID, "4711", False), ("", "", False)]
    version = reader().latest()
    assert version is not None
    assert version.manifest is None
    assert inventory.access(cluster).rules(RoleRef("ClusterRole", "reader")).manifest() == RULES
