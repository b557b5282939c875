from typing import Any

import pytest

from tests.unit.audit.events import UID, metadata_only
from tests.unit.detections.examples import STATUS, findings, found, manifest, write

BEFORE = manifest()


def deletion(answer: Any = STATUS, kind: str = "ClusterRole", **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"verb": "delete"} | {"requestObject": None, "responseObject": answer}
    return write(manifest(kind), **(fields | changes))


def test_a_deleted_role_is_found_with_its_uid() -> None:
    (finding,) = findings(deletion(), BEFORE)
    assert (finding.detection, finding.title, finding.uid) == ("role_deleted", "ClusterRole reader deleted", UID)
    assert found(deletion(kind="Role"))[1] == "Role web/reader deleted"


def test_a_role_that_a_finalizer_keeps_is_said_to_be_in_force() -> None:
    held = manifest(metadata={"deletionTimestamp": "2026-11-23T18:00:02Z", "finalizers": ["x/y"]})
    assert found(deletion(held))[1] == "ClusterRole reader deleted, but a finalizer keeps it in force"
    held["metadata"]["finalizers"] = ["foregroundDeletion"]
    assert found(deletion(held))[1] == "ClusterRole reader deleted, in force until the garbage collector is done"
    held["metadata"]["finalizers"] += ["x/y"]
    assert found(deletion(held))[1] == "ClusterRole reader deleted, but a finalizer keeps it in force"
    assert findings(deletion(held))[0].fingerprint == findings(deletion())[0].fingerprint


def test_at_level_metadata_a_deletion_may_be_a_rehearsal() -> None:
    title = "ClusterRole reader deleted, or rehearsed: the log does not tell"
    assert found(metadata_only(deletion()))[1] == title


@pytest.mark.parametrize(
    "changes",
    [
        {"requestObject": {"kind": "DeleteOptions", "dryRun": ["All"]}},
        {"responseStatus": {"code": 404}},
        {"responseStatus": {"code": 403}},
        {"stage": "RequestReceived"},
    ],
    ids=["rehearsed", "not there", "refused", "begun"],
)
def test_what_was_not_deleted_by_somebody_is_nothing(changes: dict[str, Any]) -> None:
    assert not findings(deletion(**changes), BEFORE)


COLLECTED: dict[str, Any] = {"user": {"username": "system:serviceaccount:kube-system:generic-garbage-collector"}}


def owned(*uids: str) -> dict[str, Any]:
    return manifest(metadata={"ownerReferences": [{"kind": "ConfigMap", "name": "x", "uid": uid} for uid in uids]})


@pytest.mark.parametrize("by", [COLLECTED, {"user": {"username": "system:kube-controller-manager"}}])
@pytest.mark.parametrize(
    ("before", "first"),
    [(owned("nobody"), manifest()), (owned("nobody"), owned("operator")), (manifest(), manifest())],
    ids=["given an owner", "given another owner", "given one of which no event was received yet"],
)
def test_a_role_that_is_deleted_for_an_owner_it_was_given_later_is_found(
    by: dict[str, Any], before: dict[str, Any], first: dict[str, Any]
) -> None:
    title = "ClusterRole reader deleted, for an owner that it was given later"
    assert found(deletion(**by), before, first) == ("role_deleted", title)


def test_a_role_that_goes_with_the_owner_it_was_made_with_is_nothing() -> None:
    assert not findings(deletion(**COLLECTED), owned("operator"), owned("operator", "another"))
    assert not findings(deletion(**COLLECTED))


def test_a_binding_that_is_deleted_takes_access_away_and_is_nothing() -> None:
    assert not findings(deletion(kind="ClusterRoleBinding"))


def collection(items: Any, **changes: Any) -> dict[str, Any]:
    nameless = {"resource": "clusterroles", "apiGroup": "rbac.authorization.k8s.io", "apiVersion": "v1"}
    answer = {"kind": "ClusterRoleList", "items": items}
    return deletion(answer, **({"verb": "deletecollection", "objectRef": nameless} | changes))


def test_each_role_of_a_collection_is_found_by_its_own_name() -> None:
    other = manifest(name="writer", metadata={"uid": "other"})
    found_ones = findings(collection([{**BEFORE, "kind": None}, other, "no object", {"metadata": {"name": 7}}]))
    assert [(each.title, each.name) for each in found_ones] == [
        ("ClusterRole reader deleted", "reader"),
        ("ClusterRole writer deleted", "writer"),
    ]
    assert found_ones[0].fingerprint == findings(deletion())[0].fingerprint


def test_a_collection_of_which_nothing_was_recorded_is_found_as_such() -> None:
    title = "ClusterRoles deleted, all at once, or rehearsed: the log does not tell"
    assert found(metadata_only(collection([])))[1] == title


def test_a_namespace_that_ends_takes_its_roles_along() -> None:
    controller = "system:serviceaccount:kube-system:namespace-controller"
    event = collection([manifest("Role")], user={"username": controller})
    assert not findings(event)
    assert findings(event | {"user": {"username": "eve"}, "impersonatedUser": {"username": controller}})
