from typing import Any

import pytest

from tests.unit.audit.events import metadata_only
from tests.unit.detections.examples import (
    AGGREGATION_CONTROLLER,
    EVERYTHING,
    PODS,
    SECRETS,
    filled,
    findings,
    found,
    manifest,
    write,
)  # fmt: skip

BEFORE = manifest()
WIDER = manifest(rules=[*PODS, *SECRETS], version="2")
PATCHES: list[Any] = [
    [{"op": "add", "path": "/rules/-", "value": SECRETS[0]}],
    {"rules": [*PODS, *SECRETS]},
    {"kind": "ClusterRole", "metadata": {"name": "reader"}, "rules": SECRETS},
]


@pytest.mark.parametrize("patch", PATCHES, ids=["JSON patch", "merge patch", "apply"])
@pytest.mark.parametrize("verb", ["patch", "update"])
def test_a_widened_role_is_found_however_it_was_written(verb: str, patch: Any) -> None:
    event = write(WIDER, verb, requestObject=patch)
    assert found(event, BEFORE) == ("role_widened", "ClusterRole reader widened")


def test_a_namespaced_role_is_widened_too() -> None:
    event = write(manifest("Role", rules=EVERYTHING, version="2"))
    assert found(event, manifest("Role")) == ("role_widened", "Role web/reader widened")


@pytest.mark.parametrize(
    "rules",
    [
        PODS,
        [],
        None,
        [*PODS, *PODS],
        [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}],
    ],
    ids=["the same", "none", "null", "repeated", "narrower"],
)
def test_a_role_that_permits_no_more_is_not_widened(rules: Any) -> None:
    assert not findings(write(manifest(rules=rules, version="2")), BEFORE)


def test_what_looks_like_a_restriction_and_opens_everything_is_a_widening() -> None:
    named = [{"verbs": ["list"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["one"]}]
    nameless = [{"verbs": ["list"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["one", ""]}]
    assert findings(write(manifest(rules=nameless)), manifest(rules=named))


def test_narrowed_here_and_widened_there_is_widened() -> None:
    assert found(write(manifest(rules=SECRETS)), BEFORE)[0] == "role_widened"


def test_a_role_that_comes_to_take_in_others_is_widened() -> None:
    rule = {"clusterRoleSelectors": [{"matchLabels": {"x": "y"}}]}
    assert found(write(manifest(aggregationRule=rule, rules=None)), BEFORE)[0] == "role_widened"
    assert not findings(write(manifest(aggregationRule=rule)), manifest(aggregationRule=rule))


def test_what_nobody_saw_before_counts_as_changed() -> None:
    title = "ClusterRole reader changed, and what it permitted before is unknown"
    assert found(write(WIDER)) == ("role_widened", title)


@pytest.mark.parametrize("event", [metadata_only(write(WIDER)), write(WIDER, responseObject=None)])
def test_what_was_not_recorded_is_not_unchanged_and_one_a_day(event: dict[str, Any]) -> None:
    title = "ClusterRole reader changed, and its new rules were not recorded"
    assert found(event, BEFORE) == ("role_widened", title)
    again = event | {"auditID": "other", "requestReceivedTimestamp": "2026-11-23T23:00:00.000000Z"}
    assert findings(event, BEFORE)[0].fingerprint == findings(again, BEFORE)[0].fingerprint


@pytest.mark.parametrize(
    "changes", [{"responseStatus": {"code": 409}}, {"stage": "RequestReceived"}, {"requestURI": "/x?dryRun=All"}]
)
def test_what_was_not_carried_out_widens_nothing(changes: dict[str, Any]) -> None:
    assert not findings(write(WIDER, **changes), BEFORE)


def test_rules_that_no_api_server_would_take_are_found_and_break_nothing() -> None:
    assert found(write(manifest(rules={"verbs": 7})), BEFORE)[0] == "role_widened"


def test_a_version_is_one_cause_whoever_tells_of_it() -> None:
    first, again = (findings(write(WIDER, auditID=each), BEFORE)[0] for each in ("a", "b"))
    later = findings(write(manifest(rules=EVERYTHING, version="3")), WIDER)[0]
    assert first.fingerprint == again.fingerprint != later.fingerprint


SELECTORS = {"clusterRoleSelectors": [{"matchLabels": {"to": "ours"}}]}
FILLED = manifest(name="ours", rules=EVERYTHING, aggregationRule=SELECTORS, version="2")
EMPTY = manifest(name="ours", rules=None, aggregationRule=SELECTORS)


def test_the_aggregation_controller_echoes_and_widens_nothing() -> None:
    assert not findings(filled(FILLED), EMPTY)
    assert not findings(filled(FILLED, user={"username": "system:kube-controller-manager"}), EMPTY)
    assert not findings(filled(FILLED, responseObject=None, level="Request"), EMPTY)
    assert not findings(metadata_only(filled(FILLED)), EMPTY)
    assert found(write(FILLED), EMPTY)[0] == "role_widened"


@pytest.mark.parametrize(
    "sent",
    [
        [{"op": "add", "path": "/rules", "value": EVERYTHING}],
        {"rules": EVERYTHING},
        {"aggregationRule": SELECTORS},
        {"metadata": {"name": "ours", "labels": {"x": "y"}}, "rules": EVERYTHING},
        FILLED,
    ],
    ids=["JSON patch", "merge patch", "another selector", "labels", "all of it"],
)
@pytest.mark.parametrize("before", [EMPTY, None], ids=["seen before", "never seen"])
def test_what_the_aggregation_controller_never_sends_is_no_echo(sent: Any, before: dict[str, Any] | None) -> None:
    seen = [before] if before else []
    assert found(filled(FILLED, requestObject=sent), *seen)[0] == "role_widened"


@pytest.mark.parametrize(
    "before",
    [
        manifest(name="ours"),
        EMPTY | {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "others"}}]}},
        manifest(name="ours", rules=None, aggregationRule=SELECTORS, metadata={"labels": {"x": "y"}}),
    ],
    ids=["no aggregate", "another selector", "labels"],
)
def test_a_role_that_is_another_aggregate_than_before_was_not_only_filled(before: dict[str, Any]) -> None:
    assert found(filled(FILLED), before)[0] == "role_widened"


def test_whoever_only_looks_like_the_aggregation_controller_is_found() -> None:
    stolen: dict[str, Any] = {"user": {"username": AGGREGATION_CONTROLLER}}
    assert found(write(WIDER, **stolen), BEFORE)[0] == "role_widened"
    impersonated: dict[str, Any] = stolen | {"impersonatedUser": {"username": AGGREGATION_CONTROLLER}}
    assert any(each.detection == "role_widened" for each in findings(write(FILLED, **impersonated), EMPTY))
    other: dict[str, Any] = {"user": {"username": AGGREGATION_CONTROLLER.replace("kube-system", "web")}}
    assert found(write(FILLED, **other), EMPTY)[0] == "role_widened"
