"""A client may ask for a table or the metadata instead of an object: `Accept: application/json;as=Table` and so on."""

from typing import Any

import pytest

from tests.unit.audit.events import UID, creation, decoded
from tests.unit.detections.examples import EVERYTHING, bare, findings, found, manifest, write

ROLE = manifest()
WIDE = manifest(version="2", rules=EVERYTHING)
KINDS = ["PartialObjectMetadata", "Table"]
LABELLED = {"labels": {"rbac.authorization.k8s.io/aggregate-to-admin": "true"}}


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_sent_whole_is_known_all_the_same(kind: str) -> None:
    widened = write(WIDE, "update", requestObject=WIDE, responseObject=bare(WIDE, kind))
    assert found(widened, ROLE) == ("role_widened", "ClusterRole reader widened")
    applied = write(WIDE, "patch", 201, requestObject=WIDE, responseObject=bare(WIDE, kind))
    assert found(applied) == ("cluster_role_created", "ClusterRole reader created")
    assert findings(applied)[0].uid == UID


def test_what_a_patch_left_is_unknown_unless_it_holds_nothing_but_metadata() -> None:
    patch: dict[str, Any] = {"responseObject": bare(WIDE)}
    title = "ClusterRole reader changed, and its new rules were not recorded"
    assert found(write(WIDE, requestObject={"rules": EVERYTHING}, **patch), ROLE) == ("role_widened", title)
    assert found(write(WIDE, requestObject={"metadata": {}, "$patch": "replace"}, **patch), ROLE)[1] == title
    assert found(write(WIDE, requestObject={"kind": "ClusterRole", "metadata": {}}, **patch), ROLE)[1] == title
    assert found(write(WIDE, requestObject={"metadata": {"finalizers": None}}, **patch))[1] == title
    assert not findings(write(WIDE, requestObject={"metadata": {"finalizers": None}}, **patch), ROLE)
    another = manifest(metadata={"uid": "another"})
    assert found(write(WIDE, requestObject={"metadata": {}}, **patch), another)[1] == title


def test_an_object_in_a_table_is_what_a_patch_left() -> None:
    table = {"kind": "Table", "rows": [{"cells": ["reader"], "object": WIDE}]}
    event = write(WIDE, requestObject={"rules": EVERYTHING}, responseObject=table)
    assert found(event, ROLE) == ("role_widened", "ClusterRole reader widened")


def test_a_label_that_aggregates_is_seen_in_the_metadata() -> None:
    labelled = manifest(version="2", metadata=LABELLED)
    event = write(labelled, requestObject={"metadata": LABELLED}, responseObject=bare(labelled))
    assert found(event, ROLE) == ("role_aggregated", "ClusterRole reader added to admin")


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_that_the_api_server_made_up_is_in_the_metadata(kind: str) -> None:
    unnamed = {"resource": "clusterroles", "apiGroup": "rbac.authorization.k8s.io"}
    event = creation(objectRef=unnamed, responseObject=bare(manifest(name="made-up"), kind))
    assert decoded(event).name == "made-up"


@pytest.mark.parametrize("kind", KINDS)
def test_a_role_that_a_finalizer_keeps_is_no_less_in_force(kind: str) -> None:
    held = manifest(metadata={"deletionTimestamp": "2026-11-23T18:00:02Z", "finalizers": ["x/y"]})
    event = write(held, "delete", requestObject=None, responseObject=bare(held, kind))
    assert found(event)[1] == "ClusterRole reader deleted, but a finalizer keeps it in force"


def test_a_collection_is_found_role_by_role_in_a_table_too() -> None:
    collection = {"resource": "clusterroles", "apiGroup": "rbac.authorization.k8s.io"}
    event = write(ROLE, "deletecollection", objectRef=collection, requestObject=None)
    assert found(event | {"responseObject": bare(ROLE, "Table")})[1] == "ClusterRole reader deleted"
    # With includeObject=None there is nothing in it but cells.
    cells = {"kind": "Table", "rows": [{"cells": ["reader"], "object": None}]}
    assert found(event | {"responseObject": cells})[1] == "ClusterRoles deleted, all at once"
    assert not findings(event | {"responseObject": {"kind": "Table", "rows": []}})
