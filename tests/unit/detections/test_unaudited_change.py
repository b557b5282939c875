import itertools
from datetime import UTC, datetime
from typing import Any

import pytest

from alerts import rbac
from alerts.detections import unaudited_change
from alerts.detections.unaudited_change import Standing, deed, differences, echoes, finding, restores_default
from tests.unit.audit.events import RULES, role

AT = datetime(2026, 11, 23, 18, tzinfo=UTC)
EVERYTHING = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
SELECTORS = {"clusterRoleSelectors": [{"matchLabels": {"to-reader": "true"}}]}
BINDING = {
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "readers"},
    "roleRef": {"kind": "ClusterRole", "name": "reader"},
    "subjects": [{"kind": "User", "name": "jane"}],
}
BEFORE, NOW = Standing("a", "1", role()), Standing("a", "2", role())


def aggregated(*rules: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return role() | {"rules": list(rules), "aggregationRule": SELECTORS} | fields


def contributed(*rules: dict[str, Any]) -> tuple[rbac.Rule, ...]:
    return rbac.parse(list(rules)).rules


def default(name: str) -> dict[str, Any]:
    """Return a default role as the recorded API server has it: with a uid and annotations besides."""
    shipped = rbac.default_roles()[name]
    return {
        "kind": "ClusterRole",
        "metadata": {"name": name, "uid": "u", "labels": dict(shipped.labels), "annotations": {"x": "y"}},
        "rules": [rule.manifest() for rule in shipped.rules],
    }


@pytest.mark.parametrize(
    ("before", "now", "word"),
    [
        (None, NOW, "appeared"),
        (Standing(exists=False), NOW, "appeared"),
        (BEFORE, NOW, "changed"),
        (Standing("", "", role()), NOW, "changed"),
        (BEFORE, Standing("b", "2", role()), "replaced"),
        (BEFORE, Standing("a", exists=False), "vanished"),
    ],
)
def test_what_happened_is_said_in_a_word(before: Standing | None, now: Standing, word: str) -> None:
    assert deed(before, now) == word
    assert word in finding("ClusterRole", "", "reader", before, now, at=AT).title


def test_each_version_of_each_object_is_a_finding_of_its_own() -> None:
    standings = [NOW, Standing("a", "3"), Standing("b", "2"), Standing("a", exists=False)]
    objects = [("ClusterRole", "", "reader"), ("Role", "web", "reader"), ("Role", "api", "reader")]
    prints = [finding(*named, BEFORE, now, at=AT).fingerprint for named, now in itertools.product(objects, standings)]
    assert len(set(prints)) == len(prints)
    assert finding(*objects[0], None, NOW, at=AT).fingerprint == prints[0]


def test_what_the_aggregation_controller_does_is_an_echo() -> None:
    assert echoes(aggregated(), aggregated(*RULES), contributed(*RULES))
    assert echoes(aggregated(*RULES), aggregated(), ())


@pytest.mark.parametrize(
    "after",
    [
        aggregated(*RULES, EVERYTHING),
        role() | {"rules": RULES},
        aggregated(*RULES, metadata={"labels": {"rbac.authorization.k8s.io/aggregate-to-admin": "true"}}),
        aggregated(*RULES, aggregationRule={"clusterRoleSelectors": [{}]}),
        aggregated(*RULES, rules="nonsense"),
    ],
)
def test_what_the_controller_would_not_do_is_no_echo(after: dict[str, Any]) -> None:
    assert not echoes(aggregated(), after, contributed(*RULES))


def test_a_default_as_kubernetes_ships_it_is_no_alarm() -> None:
    assert restores_default(default("system:discovery"), ())


@pytest.mark.parametrize(
    "change",
    [
        {"rules": [EVERYTHING]},
        {"metadata": {"name": "system:discovery"}},
        {"metadata": {"name": "system:discovery-2", "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}},
    ],
)
def test_a_default_with_anything_else_in_it_is_an_alarm(change: dict[str, Any]) -> None:
    assert not restores_default(default("system:discovery") | change, ())


def test_a_default_of_another_version_is_known_by_what_it_was() -> None:
    older = default("system:discovery") | {"rules": RULES}
    assert restores_default(older, [older])
    mine = older | {"metadata": older["metadata"] | {"name": "mine"}}
    assert not restores_default(mine, [mine])


def test_the_difference_is_exact() -> None:
    labelled = role(labels={"a": "b"}) | {"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}]}
    signs = [sign for sign, _ in differences(role(), labelled)]
    assert signs == ["-", "+"]
    assert differences(role(), labelled)[1] == ("+", "label a=b")
    assert differences(role(), role(resourceVersion="2", annotations={"x": "y"})) == []
    assert differences(None, None) == []


def test_of_a_binding_subjects_and_role_count() -> None:
    other = BINDING | {"subjects": [{"kind": "ServiceAccount", "namespace": "web", "name": "ci"}]}
    assert differences(BINDING, other) == [("+", "subject ServiceAccount web/ci"), ("-", "subject User jane")]
    assert differences(None, BINDING) == [("+", "subject User jane"), ("+", "role ClusterRole reader")]


def test_a_difference_without_end_is_cut_and_says_so() -> None:
    crowd = BINDING | {"subjects": [{"kind": "User", "name": f"u{number}"} for number in range(1000)]}
    lines = differences(BINDING, crowd)
    assert lines[-1] == ("", "and 961 more")
    assert len(lines) == unaudited_change._SHOWN + 1
