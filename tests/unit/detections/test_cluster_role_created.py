from typing import Any

import pytest

from alerts import detections
from alerts.detections import Finding
from tests.unit.audit.events import UID, creation, decoded, metadata_only, role

ADDRESS = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
NAMELESS = {"resource": "clusterroles", "apiGroup": "rbac.authorization.k8s.io", "apiVersion": "v1"}
STATUS = {"kind": "Status", "status": "Failure", "code": 403}


def found(event: dict[str, Any]) -> Finding:
    (finding,) = detections.examine(decoded(event))
    return finding


def nothing(event: dict[str, Any]) -> bool:
    return not [each for each in detections.examine(decoded(event)) if each.detection == "cluster_role_created"]


def refusal(message: str = "", **changes: Any) -> dict[str, Any]:
    refused = {"responseStatus": {"code": 403, "message": message}, "responseObject": STATUS}
    return creation(**(refused | changes))


def test_a_creation_names_the_role_and_its_uid() -> None:
    finding = found(creation("reader"))
    assert (finding.title, finding.kind, finding.name, finding.uid) == (
        "ClusterRole reader created",
        "ClusterRole",
        "reader",
        UID,
    )
    assert not finding.attempted


@pytest.mark.parametrize("verb", ["patch", "update"], ids=["server-side apply", "PUT of a new name"])
def test_a_role_that_an_apply_or_a_put_creates_is_created(verb: str) -> None:
    address = f"{ADDRESS}/reader?fieldManager=kubectl&force=true"
    assert found(creation(verb=verb, requestURI=address)).title == "ClusterRole reader created"


@pytest.mark.parametrize("verb", ["patch", "update"])
def test_a_role_that_was_there_is_changed_and_not_created(verb: str) -> None:
    assert nothing(creation(verb=verb, requestURI=f"{ADDRESS}/reader", responseStatus={"code": 200}))


def test_a_generated_name_comes_from_the_answer() -> None:
    generated = creation(
        objectRef=NAMELESS,
        requestObject=role() | {"metadata": {"generateName": "reader-"}},
        responseObject=role("reader-x7"),
    )
    assert found(generated).title == "ClusterRole reader-x7 created"


def test_a_generated_name_is_unknown_at_level_metadata() -> None:
    finding = found(metadata_only(creation(objectRef=NAMELESS)))
    assert (finding.title, finding.name) == ("An unnamed ClusterRole created", "")


def test_at_level_metadata_the_uid_is_unknown_and_the_role_created_all_the_same() -> None:
    finding = found(metadata_only(creation()))
    assert (finding.title, finding.uid) == ("ClusterRole reader created", "")


@pytest.mark.parametrize("verb", ["create", "patch", "update"])
def test_a_dry_run_creates_nothing_and_attempts_nothing(verb: str) -> None:
    assert nothing(creation(verb=verb, requestURI=f"{ADDRESS}?dryRun=All"))
    assert nothing(refusal(verb=verb, requestURI=f"{ADDRESS}?dryRun=All"))


def test_a_dry_run_that_kubernetes_does_not_take_for_one_is_none() -> None:
    assert found(creation(requestURI=f"{ADDRESS}?dryRun=All;x")).title == "ClusterRole reader created"


@pytest.mark.parametrize("stage", ["RequestReceived", "ResponseStarted"])
def test_only_a_finished_request_counts(stage: str) -> None:
    assert nothing(creation(stage=stage))


@pytest.mark.parametrize(
    "other",
    [
        {"objectRef": NAMELESS | {"resource": "roles", "namespace": "web"}},
        {"objectRef": NAMELESS | {"apiGroup": "authorization.openshift.io"}},
        {"objectRef": NAMELESS | {"subresource": "status"}},
        {"verb": "delete", "responseStatus": {"code": 200}},
        {"verb": "get", "responseStatus": {"code": 200}},
    ],
    ids=["a Role", "another API group", "a subresource", "a deletion", "a read"],
)
def test_other_requests_create_no_cluster_role(other: dict[str, Any]) -> None:
    assert nothing(creation(**other))


def test_a_refusal_by_the_authorizer_is_an_attempt_on_an_unnamed_role() -> None:
    finding = found(refusal(objectRef=NAMELESS, requestObject=None))
    assert (finding.title, finding.attempted) == ("Attempt to create an unnamed ClusterRole", True)


def test_a_refusal_by_the_escalation_check_is_an_attempt_on_the_role() -> None:
    finding = found(refusal('user "eve" (groups=[]) is attempting to grant RBAC permissions not currently held'))
    assert (finding.detection, finding.title) == ("escalation_refused", "Attempt to create ClusterRole reader")


@pytest.mark.parametrize("verb", ["patch", "update"])
def test_an_apply_that_may_not_create_is_an_attempt(verb: str) -> None:
    message = (
        'clusterroles.rbac.authorization.k8s.io is forbidden: User "mallory" cannot create resource "clusterroles" '
        'in API group "rbac.authorization.k8s.io" at the cluster scope'
    )
    address = f"{ADDRESS}/reader?fieldManager=kubectl"
    assert found(refusal(message, verb=verb, requestURI=address)).title == "Attempt to create ClusterRole reader"
    assert nothing(refusal(message.replace("create resource", "patch resource"), verb=verb, requestURI=address))


@pytest.mark.parametrize("code", [400, 401, 404, 409, 422])
def test_a_request_that_fails_otherwise_is_no_attempt(code: int) -> None:
    assert nothing(creation(responseStatus={"code": code}, responseObject=STATUS))


@pytest.mark.parametrize(
    "open_end",
    [
        {"stage": "Panic", "responseStatus": {"code": 500}},
        {"responseStatus": {"code": 504}},
        {"responseStatus": None},
    ],
    ids=["panic", "timeout", "unknown"],
)
def test_where_nobody_knows_whether_the_role_was_made_that_is_said(open_end: dict[str, Any]) -> None:
    finding = found(metadata_only(creation(**open_end)))
    assert finding.title.startswith("ClusterRole reader created, if that was carried out: the ")
    assert not finding.attempted


BOOT = {"user": {"username": "system:apiserver", "groups": ["system:masters"]}, "sourceIPs": ["127.0.0.1"]}


def test_the_api_server_s_own_default_roles_are_no_findings() -> None:
    assert nothing(creation("system:discovery", **BOOT))
    assert nothing(creation("cluster-admin", **BOOT | {"sourceIPs": ["::1"]}))


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("metrics", {}),
        ("system:discovery", {"sourceIPs": ["127.0.0.1", "198.51.100.23"]}),
        ("system:discovery", {"sourceIPs": None}),
        ("system:discovery", {"user": {"username": "admin"}}),
        ("system:discovery", {"impersonatedUser": {"username": "admin"}}),
    ],
    ids=["another role", "from elsewhere", "from nowhere", "somebody else", "as somebody else"],
)
def test_whoever_only_looks_like_the_api_server_is_found(name: str, other: dict[str, Any]) -> None:
    assert found(creation(name, **BOOT | other)).name == name


def test_the_aggregation_controller_is_found_where_it_creates_a_role() -> None:
    controller = "system:serviceaccount:kube-system:clusterrole-aggregation-controller"
    echo = creation("admin", verb="patch", user={"username": controller})
    assert nothing(echo | {"responseStatus": {"code": 200}})
    assert found(echo).name == "admin"


def test_the_same_creation_is_the_same_cause_in_every_form() -> None:
    again = creation(auditID="another", userAgent="curl", stageTimestamp="2026-11-23T18:00:09.000000Z")
    assert found(creation()).fingerprint == found(again).fingerprint
    assert found(metadata_only(creation())).fingerprint == found(metadata_only(creation(userAgent="curl"))).fingerprint


def test_a_role_made_again_is_another_cause() -> None:
    again = creation(responseObject=role(uid="another"))
    assert found(creation()).fingerprint != found(again).fingerprint


def test_without_uids_requests_of_one_audit_id_stay_apart() -> None:
    first = metadata_only(creation(auditID="same"))
    assert found(first).fingerprint != found(metadata_only(creation("writer", auditID="same"))).fingerprint
    later = first | {"requestReceivedTimestamp": "2026-11-23T18:00:02.000000Z"}
    assert found(first).fingerprint != found(later).fingerprint


def test_attempts_of_one_actor_and_day_are_one_cause() -> None:
    first = found(refusal())
    assert first.fingerprint == found(refusal(requestReceivedTimestamp="2026-11-23T23:59:59.000000Z")).fingerprint
    assert first.fingerprint != found(refusal(requestReceivedTimestamp="2026-11-24T00:00:00.000000Z")).fingerprint
    assert first.fingerprint != found(refusal(user={"username": "eve"})).fingerprint
    assert first.fingerprint != found(creation()).fingerprint
