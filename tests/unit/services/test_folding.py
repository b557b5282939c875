"""What folds into one row, and what never does."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from alerts.services.folding import Member, fold, marks, release_of
from tests.unit.audit.events import creation, decoded

START = datetime(2026, 11, 23, 17, 52, tzinfo=UTC)


def member(key: int, minute: float = 0, release: str = "", **fields: Any) -> Member:
    return Member(key, fields.pop("maker", "ci"), release, START + timedelta(minutes=minute), **fields)


def test_what_one_maker_made_within_minutes_is_one_row_at_the_place_of_its_worst() -> None:
    assert fold([member(9), member(5, maker="jane"), member(7, 4), member(3, 8)]) == [[9, 7, 3], [5]]


def test_after_a_pause_it_is_another_rollout() -> None:
    assert fold([member(1), member(2, 5.1)]) == [[1], [2]]


def test_a_rollout_that_never_ends_is_cut() -> None:
    rows = fold([member(number, number * 4) for number in range(16)])
    assert [len(row) for row in rows] == [8, 8]


def test_what_may_be_grave_stands_apart() -> None:
    assert fold([member(1), member(2, apart=True), member(3)]) == [[1, 3], [2]]


def test_only_what_is_alike_shares_a_row() -> None:
    assert fold([member(1, alike="ana"), member(2, alike="ben"), member(3, alike="ana")]) == [[1, 3], [2]]


def test_whose_maker_is_unknown_stands_apart() -> None:
    assert fold([member(1, maker=""), member(2, maker="")]) == [[1], [2]]


def test_two_releases_at_once_are_two_rows_and_bindings_without_labels_join_one_of_them() -> None:
    rows = fold([member(1, 0, "a"), member(2, 0.1), member(3, 0.2, "b"), member(4, 0.3), member(5, 0.4, "a")])
    assert rows == [[1, 2, 5], [3, 4]]


def test_the_order_in_which_alerts_were_opened_does_not_matter() -> None:
    members = [member(1, 0, "a"), member(2, 4), member(3, 8, "a"), member(4, 13.5)]
    found = {frozenset(frozenset(row) for row in fold(order)) for order in permutations(members)}
    assert found == {frozenset({frozenset({1, 2, 3}), frozenset({4})})}


@pytest.mark.parametrize(
    ("metadata", "release"),
    [
        (
            {"annotations": {"meta.helm.sh/release-name": "certkeeper", "meta.helm.sh/release-namespace": "certs"}},
            "Helm release certs/certkeeper",
        ),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "shop:rbac/ClusterRole:/x"}}, "Argo CD application shop"),
        ({"labels": {"argocd.argoproj.io/instance": "shop"}}, "Argo CD application shop"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, "Flux kustomization apps"),
        ({"ownerReferences": [{"kind": "Subscription", "name": "certs"}]}, "Subscription certs"),
        ({"labels": ["meta.helm.sh/release-name"], "ownerReferences": {"name": 1}}, ""),
        ({"annotations": {"meta.helm.sh/release-name": 1}}, ""),
    ],
)
def test_a_manifest_says_what_it_was_released_with(metadata: dict[str, Any], release: str) -> None:
    assert release_of({"metadata": metadata}) == release


@pytest.mark.parametrize(
    "changes",
    [
        {"user": {"username": "jane"}},
        {"userAgent": "kubectl/v1.33.0"},
        {"sourceIPs": ["203.0.113.77"]},
        {"impersonatedUser": {"username": "admin"}},
    ],
)
def test_another_maker_client_or_address_is_another_rollout(changes: dict[str, Any]) -> None:
    key = "rollout_key"
    usual = marks(decoded(creation()), attempted=False)[key]
    assert usual == marks(decoded(creation("other")), attempted=False)[key] != ""
    assert usual != marks(decoded(creation(**changes)), attempted=False)[key]
    assert usual != marks(decoded(creation()), attempted=True)[key]


def test_without_a_client_nothing_folds() -> None:
    assert marks(decoded(creation(userAgent=None)), attempted=False) == {"rollout_key": "", "release": ""}
