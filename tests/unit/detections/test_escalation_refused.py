from typing import Any

import pytest

from tests.unit.detections.examples import ESCALATION, findings, found, manifest, refusal

WANTED = {kind: manifest(kind) for kind in ("ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding")}


@pytest.mark.parametrize("kind", WANTED)
@pytest.mark.parametrize(
    ("verb", "deed"), [("create", "create"), ("patch", "escalate through"), ("update", "escalate through")]
)
def test_an_escalation_is_found_in_every_form(kind: str, verb: str, deed: str) -> None:
    detection, title = found(refusal(WANTED[kind], ESCALATION, verb))
    assert detection == "escalation_refused"
    assert title.startswith(f"Attempt to {deed} {kind} ")
    assert findings(refusal(WANTED[kind], ESCALATION, verb))[0].attempted


def test_an_aggregation_rule_without_the_right_to_it_is_an_escalation() -> None:
    message = "clusterroles is forbidden: must have cluster-admin privileges to use the aggregationRule"
    assert found(refusal(WANTED["ClusterRole"], message, "create"))[0] == "escalation_refused"


@pytest.mark.parametrize(
    "changes",
    [
        {"responseStatus": {"code": 403, "message": "admission webhook denied the request"}},
        {"responseStatus": {"code": 422, "message": ESCALATION}},
        {"verb": "delete"},
        {"requestURI": "/x?dryRun=All"},
        {"annotations": {"authorization.k8s.io/decision": "forbid"}},
    ],
    ids=["admission", "invalid", "a deletion", "a rehearsal", "not even allowed"],
)
def test_other_refusals_are_no_escalations(changes: dict[str, Any]) -> None:
    assert not findings(refusal(WANTED["ClusterRole"], ESCALATION, **changes))


def test_attempts_of_one_actor_and_day_are_one() -> None:
    first = findings(refusal(WANTED["Role"], ESCALATION))[0]
    again = findings(refusal(WANTED["Role"], ESCALATION, "update", auditID="other"))[0]
    other = findings(refusal(WANTED["Role"], ESCALATION, user={"username": "eve"}))[0]
    assert first.fingerprint == again.fingerprint != other.fingerprint
