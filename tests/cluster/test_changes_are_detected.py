"""Every kind of write that gives somebody more, on a real API server and on the practice cluster, is found."""

import time
from base64 import b64decode, b64encode
from itertools import count
from typing import Any

import pytest

from alerts import detections
from alerts.cluster.kinds import Manifest
from alerts.detections.writes import AGGREGATION_CONTROLLER, KINDS
from tests.cluster.conftest import REAL, APIServer
from tests.cluster.scenarios import (
    ACCOUNTS,
    APPLY,
    BINDINGS,
    GET_PODS,
    JSON_PATCH,
    MERGE,
    RBAC,
    ROLE_BINDINGS,
    ROLES,
    applied,
    binding,
    role,
    user,
)  # fmt: skip
from tests.cluster.test_creations_are_detected import EVERYTHING, event_of, wait_until_allowed
from tests.unit.detections.examples import Seen
from tests.unit.detections.test_certificate_approved import signing_request

NAMESPACED = f"{RBAC}/namespaces/contract/roles"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
STRATEGIC = "application/strategic-merge-patch+json"
ADMIN = {"rbac.authorization.k8s.io/aggregate-to-admin": "true"}
_numbers = count()


def found(
    api_server: APIServer, code: int, method: str, path: str, body: Any = None, **options: Any
) -> list[tuple[str, str]]:
    """Make a request, and return what is found in its event by who saw the object just before."""
    seen = _standing(api_server, path) if method in {"PATCH", "PUT", "DELETE"} else []
    audit_id = f"change {next(_numbers)}"
    answered, answer = api_server.ask(method, path, body, audit_id=audit_id, **options)
    assert answered == code, answer
    event = event_of(api_server, audit_id)
    return [(finding.detection, finding.title) for finding in detections.examine(event, Seen(*seen))]


def asked_as(
    api_server: APIServer, headers: dict[str, str], path: str = ROLES, *, by: str = "admin"
) -> tuple[int, list[str]]:
    """Make a read with these headers; return its code and the titles of what is found in it."""
    audit_id = f"change {next(_numbers)}"
    sent = {"Authorization": f"Bearer {api_server.tokens[by]}", "Audit-ID": audit_id} | headers
    answer = api_server.pool.request("GET", api_server.address + path, headers=sent, retries=False)
    event = event_of(api_server, audit_id)
    return answer.status, [finding.title for finding in detections.examine(event, Seen())]


def _standing(api_server: APIServer, path: str) -> list[Manifest]:
    code, answer = api_server.ask("GET", path.partition("?")[0])
    return [answer] if code == 200 and answer.get("kind") in KINDS.values() else []


@pytest.mark.parametrize(
    ("name", "method", "content_type", "body"),
    [
        ("json", "PATCH", JSON_PATCH, [{"op": "replace", "path": "/rules", "value": EVERYTHING}]),
        ("merge", "PATCH", MERGE, {"rules": EVERYTHING}),
        ("strategic", "PATCH", STRATEGIC, {"rules": EVERYTHING}),
        ("apply", "PATCH", APPLY, applied("wide-apply") | {"rules": EVERYTHING}),
        ("put", "PUT", "application/json", role("wide-put", EVERYTHING)),
    ],
)
def test_a_role_is_widened_by_every_kind_of_write(
    api_server: APIServer, name: str, method: str, content_type: str, body: Any
) -> None:
    path = f"{ROLES}/wide-{name}"
    api_server.ask("POST", ROLES, role(f"wide-{name}", GET_PODS))
    query = "?fieldManager=t&force=true" if content_type == APPLY else ""
    widened = [("role_widened", f"ClusterRole wide-{name} widened")]
    assert found(api_server, 200, method, path + query, body, content_type=content_type) == widened
    assert found(api_server, 200, method, path + query, body, content_type=content_type) == []
    assert found(api_server, 200, "PATCH", path, {"rules": GET_PODS}, content_type=MERGE) == []
    assert found(api_server, 200, "DELETE", path) == [("role_deleted", f"ClusterRole wide-{name} deleted")]


@pytest.mark.control_plane
def test_a_role_that_is_given_an_owner_which_does_not_exist_is_deleted_and_found(real: APIServer) -> None:
    made = real.ask("POST", ROLES, role("disowned", GET_PODS))[1]
    owner = {"apiVersion": "v1", "kind": "Namespace", "name": "nobody", "uid": "00000000-0000-4000-8000-000000000000"}
    code, given = real.ask("PATCH", f"{ROLES}/disowned", {"metadata": {"ownerReferences": [owner]}}, content_type=MERGE)
    assert code == 200, given
    deadline = time.monotonic() + 60
    while not (gone := [each["auditID"] for each in real.events() if _deletes(each, "disowned")]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (finding,) = detections.examine(event_of(real, gone[0]), Seen(given, made))
    assert finding.title == "ClusterRole disowned deleted, for an owner that it was given later"


def _deletes(event: dict[str, Any], name: str) -> bool:
    named: bool = event.get("objectRef", {}).get("name") == name
    return named and bool(event["verb"] == "delete" and event["responseStatus"]["code"] == 200)


@pytest.mark.control_plane
def test_what_the_real_aggregation_controller_writes_is_nothing_and_what_its_account_might_is_found(
    real: APIServer,
) -> None:
    rule = {"clusterRoleSelectors": [{"matchLabels": {"fill": "it"}}]}
    made = real.ask("POST", ROLES, role("filled", []) | {"aggregationRule": rule})[1]
    assert real.ask("POST", ROLES, role("filling", GET_PODS, labels={"fill": "it"}))[0] == 201
    deadline = time.monotonic() + 60
    while not (events := [each for each in real.events() if _fills(each, "filled")]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    event = event_of(real, events[0]["auditID"])
    assert event.response["rules"] == GET_PODS
    assert not list(detections.examine(event, Seen(made)))
    unaggregated = {key: value for key, value in made.items() if key != "aggregationRule"}
    assert list(detections.examine(event, Seen(unaggregated)))


def _fills(event: dict[str, Any], name: str) -> bool:
    named: bool = event.get("objectRef", {}).get("name") == name
    return named and event["user"]["username"] == AGGREGATION_CONTROLLER and event["verb"] == "patch"


def test_a_namespaced_role_is_made_widened_and_deleted(api_server: APIServer) -> None:
    made = found(api_server, 201, "POST", NAMESPACED, role("local", GET_PODS))
    assert made == [("role_created", "Role contract/local created")]
    widened = found(api_server, 200, "PATCH", f"{NAMESPACED}/local", {"rules": EVERYTHING}, content_type=MERGE)
    assert widened == [("role_widened", "Role contract/local widened")]
    dry = {"dryRun": ["All"]}
    assert found(api_server, 200, "DELETE", f"{NAMESPACED}/local", dry) == []
    assert found(api_server, 200, "DELETE", f"{NAMESPACED}/local") == [("role_deleted", "Role contract/local deleted")]


def test_a_label_adds_a_role_to_admin_and_the_controllers_echo_is_no_finding(api_server: APIServer) -> None:
    path = f"{ROLES}/labelled"
    api_server.ask("POST", ROLES, role("labelled", GET_PODS))
    labelled = found(api_server, 200, "PATCH", path, {"metadata": {"labels": ADMIN}}, content_type=MERGE)
    assert labelled == [("role_aggregated", "ClusterRole labelled added to admin")]
    api_server.ask("DELETE", path)


def test_a_role_that_a_finalizer_keeps_is_said_to_be_in_force(api_server: APIServer) -> None:
    path = f"{ROLES}/clung"
    api_server.ask("POST", ROLES, role("clung", GET_PODS, finalizers=["example.org/hold"]))
    title = "ClusterRole clung deleted, but a finalizer keeps it in force"
    assert found(api_server, 200, "DELETE", path) == [("role_deleted", title)]
    assert found(api_server, 200, "PATCH", path, {"metadata": {"finalizers": None}}, content_type=MERGE) == []


def test_a_collection_is_found_role_by_role(api_server: APIServer) -> None:
    for name in ("heap-a", "heap-b"):
        api_server.ask("POST", ROLES, role(name, GET_PODS, labels={"heap": "yes"}))
    assert found(api_server, 200, "DELETE", f"{ROLES}?labelSelector=heap&dryRun=All") == []
    gone = found(api_server, 200, "DELETE", f"{ROLES}?labelSelector=heap")
    assert gone == [("role_deleted", f"ClusterRole {name} deleted") for name in ("heap-a", "heap-b")]


@pytest.mark.control_plane
@pytest.mark.parametrize("form", ["PartialObjectMetadata", "Table"])
def test_what_is_written_with_an_answer_that_does_not_show_it_is_found(real: APIServer, form: str) -> None:
    name = f"bare-{form.lower()}"
    path, accept = f"{ROLES}/{name}", f"application/json;as={form};g=meta.k8s.io;v=v1"
    apply, wide = f"{path}?fieldManager=t", applied(name) | {"rules": EVERYTHING}
    created = found(real, 201, "PATCH", apply, wide, content_type=APPLY, accept=accept)
    assert created == [("cluster_role_created", f"ClusterRole {name} created")]
    put = role(name, [*EVERYTHING, *GET_PODS], finalizers=["example.org/hold"])
    assert found(real, 200, "PUT", path, put, accept=accept) == []
    hidden = [("role_widened", f"ClusterRole {name} changed, and its new rules were not recorded")]
    assert found(real, 200, "PATCH", path, {"rules": GET_PODS}, content_type=MERGE, accept=accept) == hidden
    labels = {"metadata": {"labels": ADMIN}}
    fed = [("role_aggregated", f"ClusterRole {name} added to admin")]
    assert found(real, 200, "PATCH", path, labels, content_type=MERGE, accept=accept) == fed
    held = [("role_deleted", f"ClusterRole {name} deleted, but a finalizer keeps it in force")]
    assert found(real, 200, "DELETE", path, accept=accept) == held
    assert found(real, 200, "PATCH", path, {"metadata": {"finalizers": None}}, content_type=MERGE, accept=accept) == []
    assert real.ask("GET", path)[0] == 404


@pytest.mark.control_plane
def test_a_collection_of_which_some_is_deleted_though_the_answer_is_a_conflict_is_found(real: APIServer) -> None:
    roles = [role(f"part-{name}", GET_PODS, labels={"part": "yes"}) for name in "ab"]
    uid, _ = [real.ask("POST", ROLES, each)[1]["metadata"]["uid"] for each in roles]
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}}
    title = "ClusterRoles deleted, all at once, if that was carried out: the API server answered 409"
    assert found(real, 409, "DELETE", f"{ROLES}?labelSelector=part", options) == [("role_deleted", title)]
    assert [real.ask("GET", f"{ROLES}/part-{name}")[0] for name in "ab"] == [404, 200]
    real.ask("DELETE", f"{ROLES}/part-b")


@pytest.mark.parametrize("selector", ["", "labelSelector=told&"], ids=["one", "a collection"])
def test_a_deletion_with_a_body_is_carried_out_whatever_its_address_says(api_server: APIServer, selector: str) -> None:
    path = f"{ROLES}/told"
    deleted = f"{ROLES}?{selector}dryRun=All" if selector else f"{path}?dryRun=All"
    api_server.ask("POST", ROLES, role("told", GET_PODS, labels={"told": "yes"}))
    assert found(api_server, 200, "DELETE", deleted) == []
    assert api_server.ask("GET", path)[0] == 200
    options = {"kind": "DeleteOptions", "apiVersion": "v1"}
    assert found(api_server, 200, "DELETE", deleted, options) == [("role_deleted", "ClusterRole told deleted")]
    assert api_server.ask("GET", path)[0] == 404


def test_a_default_binding_deleted_among_many_is_found(api_server: APIServer) -> None:
    path = f"{BINDINGS}/shipped"
    labels = {"kubernetes.io/bootstrapping": "rbac-defaults", "shipped": "yes"}
    api_server.ask(
        "POST", BINDINGS, binding("shipped", "view", user("eve")) | {"metadata": {"name": "shipped", "labels": labels}}
    )
    gone = found(api_server, 200, "DELETE", f"{BINDINGS}?labelSelector=shipped")
    assert gone == [("default_role_tampered", "Default ClusterRoleBinding shipped deleted")]
    assert api_server.ask("GET", path)[0] == 404


def test_a_binding_is_made_and_changed(api_server: APIServer) -> None:
    anybody = user("system:anonymous")
    made = found(api_server, 201, "POST", BINDINGS, binding("gate", "view", anybody))
    assert made == [("binding_created", "ClusterRoleBinding gate created: view for anybody without log-in")]
    subjects = {"subjects": [anybody, user("eve")]}
    changed = found(api_server, 200, "PATCH", f"{BINDINGS}/gate", subjects, content_type=MERGE)
    assert changed == [("binding_changed", "ClusterRoleBinding gate changed: view for user eve too")]
    assert found(api_server, 200, "PATCH", f"{BINDINGS}/gate", {"subjects": [anybody]}, content_type=MERGE) == []
    assert found(api_server, 200, "DELETE", f"{BINDINGS}/gate") == []
    local = found(api_server, 201, "POST", ROLE_BINDINGS, binding("gate", "admin", user("eve")))
    assert local == [("binding_created", "RoleBinding contract/gate created: admin for user eve")]
    api_server.ask("DELETE", f"{ROLE_BINDINGS}/gate")


def test_a_default_role_is_tampered_with(api_server: APIServer) -> None:
    path = f"{ROLES}/system:public-info-viewer"
    rules = api_server.ask("GET", path)[1]["rules"]
    widened = found(api_server, 200, "PATCH", path, {"rules": [*rules, *EVERYTHING]}, content_type=MERGE)
    assert widened == [("default_role_tampered", "Default ClusterRole system:public-info-viewer widened")]
    restored = found(api_server, 200, "PATCH", path, {"rules": rules}, content_type=MERGE)
    assert restored == [("default_role_tampered", "Default ClusterRole system:public-info-viewer narrowed")]


def test_an_escalation_is_refused_in_every_form(api_server: APIServer) -> None:
    write = [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"], "verbs": ["create", "patch", "update"]}]
    api_server.ask("POST", ROLES, role("climber", write))
    api_server.ask("POST", BINDINGS, binding("climber", "climber", user("mallory")))
    wait_until_allowed(api_server, "mallory")
    api_server.ask("POST", ROLES, role("ladder", GET_PODS))
    for method, path, kind, body, content_type in (
        ("PATCH", f"{ROLES}/ladder", "ClusterRole", {"rules": EVERYTHING}, MERGE),
        ("PUT", f"{ROLES}/ladder", "ClusterRole", role("ladder", EVERYTHING), "application/json"),
        ("PATCH", f"{ROLES}/new?fieldManager=t", "ClusterRole", applied("new") | {"rules": EVERYTHING}, APPLY),
    ):
        name = path.partition("?")[0].rpartition("/")[2]
        refused = found(api_server, 403, method, path, body, user="mallory", content_type=content_type)
        assert refused == [("escalation_refused", f"Attempt to escalate through {kind} {name}")]
    climbing = binding("climbing", "cluster-admin", user("mallory"))
    refused = found(api_server, 403, "POST", BINDINGS, climbing, user="mallory")
    assert refused == [("escalation_refused", "Attempt to create ClusterRoleBinding climbing")]
    for path in (f"{BINDINGS}/climber", f"{ROLES}/climber", f"{ROLES}/ladder"):
        api_server.ask("DELETE", path)


def test_a_token_whose_making_is_called_a_rehearsal_works_and_is_found(api_server: APIServer) -> None:
    api_server.ask("POST", ACCOUNTS, {"metadata": {"name": "actor"}})
    path = f"{ACCOUNTS}/actor/token?dryRun=All"
    body: dict[str, Any] = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    issued = [("token_issued", "Token issued for service account contract/actor")]
    assert found(api_server, 201, "POST", path, body) == issued
    token = api_server.ask("POST", path, body)[1]["status"]["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert api_server.pool.request("GET", api_server.address + ROLES, headers=headers, retries=False).status == 403


def test_a_token_for_anothers_account_is_found(api_server: APIServer) -> None:
    api_server.ask("POST", ACCOUNTS, {"metadata": {"name": "porter"}})
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}}
    issued = found(api_server, 201, "POST", f"{ACCOUNTS}/porter/token", body)
    assert issued == [("token_issued", "Token issued for service account contract/porter")]
    refused = found(api_server, 403, "POST", f"{ACCOUNTS}/porter/token", body, user="nobody")
    assert refused == [("token_issued", "Attempt to get a token of service account contract/porter")]
    api_server.ask("DELETE", f"{ACCOUNTS}/porter")


@pytest.mark.parametrize("api_server", [REAL], indirect=True)
def test_acting_as_somebody_powerful_is_found_and_so_is_the_attempt(api_server: APIServer) -> None:
    masters = {"Impersonate-User": "somebody", "Impersonate-Group": "system:masters"}
    assert asked_as(api_server, masters) == (200, ["Impersonation of system:masters"])
    assert asked_as(api_server, {"Impersonate-User": "somebody"}) == (403, [])
    manager = {"Impersonate-User": "system:kube-controller-manager"}
    attempt = (403, ["Attempt to impersonate somebody whom the log does not name"])
    assert asked_as(api_server, manager, by="nobody") == attempt
    assert asked_as(api_server, manager, "/metrics", by="nobody") == attempt


@pytest.mark.control_plane
def test_a_request_behind_a_decoy_that_go_passes_over_is_named(real: APIServer) -> None:
    decoy, meant = (b64decode(signing_request(*names)) for names in (("alice", "developers"), ("eve", "admins")))
    text = b64encode(decoy.rstrip() + b" passed over\n" + meant).decode()
    spec = {"request": text, "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}
    code, request = real.ask("POST", REQUESTS, {"metadata": {"name": "decoy"}, "spec": spec})
    assert code == 201, request
    approved = request | {"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "Test"}]}}
    ((_, title),) = found(real, 200, "PUT", f"{REQUESTS}/decoy/approval", approved)
    assert title == "Certificate request decoy approved: user alice in developers or user eve in admins"
    real.ask("DELETE", f"{REQUESTS}/decoy")


@pytest.mark.parametrize("api_server", [REAL], indirect=True)
def test_an_approved_certificate_names_whom_it_is_for(api_server: APIServer) -> None:
    signer = "kubernetes.io/kube-apiserver-client"
    spec = {"request": signing_request("eve", "developers"), "signerName": signer, "usages": ["client auth"]}
    wanted = {"metadata": {"name": "eve"}, "spec": spec}
    assert found(api_server, 201, "POST", REQUESTS, wanted) == []
    _, request = api_server.ask("GET", f"{REQUESTS}/eve")
    condition = {"type": "Approved", "status": "True", "reason": "Test", "message": "by a test"}
    approved = request | {"status": {"conditions": [condition]}}
    title = "Certificate request eve approved: user eve in developers"
    assert found(api_server, 200, "PUT", f"{REQUESTS}/eve/approval", approved) == [("certificate_approved", title)]
    api_server.ask("DELETE", f"{REQUESTS}/eve")
