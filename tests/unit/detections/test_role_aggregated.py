from typing import Any

import pytest

from tests.unit.detections.examples import PODS, SECRETS, findings, found, manifest, write

ADMIN = "rbac.authorization.k8s.io/aggregate-to-admin"
OURS = manifest(name="ours", rules=None, aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"to": "ours"}}]})
BEFORE = manifest()


def labelled(**labels: str) -> dict[str, Any]:
    return manifest(metadata={"labels": labels}, version="2")


def test_a_label_that_adds_a_role_to_admin_is_found_even_where_admin_was_never_seen() -> None:
    assert found(write(labelled(**{ADMIN: "true"})), BEFORE) == ("role_aggregated", "ClusterRole reader added to admin")


def test_a_label_that_only_a_role_of_this_cluster_selects_is_found() -> None:
    assert found(write(labelled(to="ours")), BEFORE, OURS) == ("role_aggregated", "ClusterRole reader added to ours")


@pytest.mark.parametrize(
    "after",
    [labelled(app="web"), labelled(**{ADMIN: "false"}), labelled(to="theirs"), manifest(version="2")],
    ids=["another label", "not true", "another value", "none"],
)
def test_labels_that_feed_no_role_are_nothing(after: dict[str, Any]) -> None:
    assert not findings(write(after), BEFORE, OURS)


def test_a_role_that_was_in_it_before_or_leaves_is_nothing() -> None:
    assert not findings(write(labelled(**{ADMIN: "true"})), labelled(**{ADMIN: "true"}))
    assert not findings(write(BEFORE), labelled(**{ADMIN: "true"}))


def test_a_role_widened_and_labelled_at_once_is_one_finding() -> None:
    after = manifest(rules=[*PODS, *SECRETS], metadata={"labels": {ADMIN: "true"}})
    assert found(write(after), BEFORE)[0] == "role_widened"


def test_labels_of_a_namespaced_role_feed_nothing() -> None:
    after = manifest("Role", metadata={"labels": {ADMIN: "true"}})
    assert not findings(write(after), manifest("Role"))
