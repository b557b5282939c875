"""The manifests of deploy/rbac on a real API server: all that Rolecall does is allowed to its account, and no more."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alerts.cluster.api import ClusterAPI
from alerts.cluster.errors import NotFound
from alerts.cluster.kinds import KINDS, RBAC_KINDS, ObjectReference
from alerts.rbac import Request
from tests.cluster.conftest import NAMESPACE, APIServer
from tests.cluster.control_plane.plane import ControlPlane
from tests.cluster.scenarios import (
    ACCOUNTS,
    APPLY,
    BINDINGS,
    GET_PODS,
    MERGE,
    RBAC,
    ROLE_BINDINGS,
    ROLES,
    applied,
    binding,
    role,
    user,
)

pytestmark = pytest.mark.control_plane

MANIFESTS = Path(__file__).parents[2] / "deploy" / "rbac"
FILES = [f"--filename={MANIFESTS / name}.yaml" for name in ("account", "reader", "guard", "revoker", "restorer")]
ROLECALL, RESTORER = "rolecall", "rolecall-restorer"
GROUP = "rbac.authorization.k8s.io"
UNREAD = {"Secret", "ConfigMap"}
SECRETS = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]}]
NAMESPACED = f"{RBAC}/namespaces/{NAMESPACE}"
LABELLED = {"example.org/team": "a"}


@pytest.fixture(scope="module")
def installed(real: APIServer, control_plane: ControlPlane) -> Iterator[APIServer]:
    """Install everything, and return the API server, which then knows both accounts, once the guard is on duty."""
    control_plane.kubectl("apply", *FILES)
    for account in (ROLECALL, RESTORER):
        real.tokens[account] = control_plane.kubectl("create", "token", account, "--namespace=rolecall").strip()
    made = [
        (ROLES, role("guarded", labels=LABELLED)),
        (ROLES, role("protected", labels={"rolecall/protected": ""})),
        (ROLES, role("aggregate") | {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"no": "thing"}}]}}),
        (BINDINGS, binding("guarded", "guarded", user("jane"))),
        (ROLES, role("strong", SECRETS, labels=LABELLED)),
        (BINDINGS, binding("strong", "strong", user("jane"))),
        (f"{NAMESPACED}/roles", role("guarded")),
        (ROLE_BINDINGS, binding("guarded", "guarded", user("jane"), kind="Role")),
    ]
    for path, body in made:
        assert real.ask("POST", path, body)[0] == 201
    deadline = time.monotonic() + 30
    while real.ask("DELETE", f"{ROLES}/view?dryRun=All", user=ROLECALL)[0] != 403:
        assert time.monotonic() < deadline, "the guard never came on duty"
        time.sleep(0.1)
    yield real
    for path, body in made:
        assert real.ask("DELETE", f"{path}/{body['metadata']['name']}")[0] == 200
    # The namespace stays: another module may install the account again before it would be gone.
    control_plane.kubectl("delete", "--wait=false", *FILES[1:])


@pytest.fixture
def rolecall(installed: APIServer) -> Iterator[ClusterAPI]:
    with installed.client(ROLECALL) as api:
        yield api


def test_the_reader_reads_all_that_rolecall_reads(rolecall: ClusterAPI) -> None:
    for kind in KINDS.keys() - UNREAD:
        for manifest in rolecall.list_all(kind)[:1]:
            assert rolecall.read(ObjectReference.of(manifest))["kind"] == kind
    assert rolecall.version().startswith("v1.")
    assert "default" in {each["metadata"]["name"] for each in rolecall.namespaces()}
    assert rolecall.list_all("ServiceAccount")
    assert rolecall.network_policies() == []
    assert rolecall.workloads() == []
    assert rolecall.whoami().username == f"system:serviceaccount:rolecall:{ROLECALL}"
    assert rolecall.can("jane", [], Request("get", "", "pods")).allowed
    assert rolecall.may(Request("list", GROUP, "clusterroles")).allowed


@pytest.mark.parametrize("kind", RBAC_KINDS)
def test_the_revoker_empties_roles_and_deletes_all_kinds(installed: APIServer, rolecall: ClusterAPI, kind: str) -> None:
    reference = ObjectReference(kind, NAMESPACE if KINDS[kind].namespaced else "", "to-be-revoked")
    body = binding("to-be-revoked", "edit", user("jane")) if "Binding" in kind else role("to-be-revoked", SECRETS)
    body["metadata"] |= {"labels": LABELLED, "finalizers": ["example.org/hold"]}
    assert installed.ask("POST", KINDS[kind].collection(reference.namespace), body)[0] == 201

    uid = rolecall.read(reference)["metadata"]["uid"]
    for dry_run in (True, False) if "Binding" not in kind else ():
        rolecall.patch(reference, {"rules": [], "metadata": {"labels": None}}, uid=uid, dry_run=dry_run)
    rolecall.patch(reference, {"metadata": {"finalizers": None}}, uid=uid)
    version = rolecall.read(reference)["metadata"]["resourceVersion"]
    for dry_run in (True, False):
        assert rolecall.delete(reference, uid=uid, resource_version=version, dry_run=dry_run).finished
    with pytest.raises(NotFound):
        rolecall.read(reference)


def test_the_restorer_puts_back_what_nobody_else_may(installed: APIServer) -> None:
    made = {"apiVersion": f"{GROUP}/v1", "kind": "ClusterRole"} | role("restored", SECRETS)
    bound = {"apiVersion": f"{GROUP}/v1", "kind": "ClusterRoleBinding"} | binding("restored", "restored", user("jane"))
    with installed.client(RESTORER) as restorer:
        for manifest in (made, bound):
            created = restorer.create(manifest)
            assert restorer.read(ObjectReference.of(created))["metadata"]["uid"] == created["metadata"]["uid"]
    for method, path in (("DELETE", ROLES), ("DELETE", BINDINGS), ("PATCH", BINDINGS)):
        assert installed.ask(method, f"{path}/restored", {}, user=RESTORER, content_type=MERGE)[0] == 403
    assert installed.ask("GET", "/api/v1/secrets", user=RESTORER)[0] == 403
    for path in (BINDINGS, ROLES):
        assert installed.ask("DELETE", f"{path}/restored")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        f"{ROLES}/cluster-admin",
        f"{ROLES}/view",
        f"{ROLES}/system:node",
        f"{ROLES}/system:anything-at-all",
        f"{ROLES}/protected",
        f"{ROLES}/rolecall-reader",
        f"{BINDINGS}/rolecall-revoker",
        f"{BINDINGS}/cluster-admin",
        f"{BINDINGS}/system:basic-user",
        f"{RBAC}/namespaces/kube-system/roles/system:controller:token-cleaner",
        f"{RBAC}/namespaces/kube-system/rolebindings/system:controller:token-cleaner",
    ],
)
def test_the_guard_keeps_the_account_off(installed: APIServer, path: str) -> None:
    if path.endswith("anything-at-all"):
        installed.ask("POST", ROLES, role("system:anything-at-all"))
    assert installed.ask("GET", path)[0] == 200
    finalizer = {"metadata": {"finalizers": ["example.org/hold"]}}  # needs nothing but the permission to patch
    for method, body in (("DELETE", None), ("PATCH", finalizer)):
        code, answer = installed.ask(method, f"{path}?dryRun=All", body, user=ROLECALL, content_type=MERGE)
        assert (code, "ValidatingAdmissionPolicy 'rolecall-guard'" in answer["message"]) == (403, True), answer
    if path.endswith("anything-at-all"):
        installed.ask("DELETE", path)


@pytest.mark.parametrize(
    ("path", "patch", "words"),
    [
        (f"{ROLES}/guarded", {"rules": SECRETS}, "not currently held"),
        # Whatever a patch changes, Kubernetes asks whether its author holds all that it leaves in force.
        (f"{ROLES}/strong", {"metadata": {"labels": None}}, "not currently held"),
        (f"{BINDINGS}/strong", {"subjects": []}, "not currently held"),
        (f"{ROLES}/guarded", {"rules": GET_PODS * 2}, "not rewrite"),
        (
            f"{ROLES}/guarded",
            {"metadata": {"labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}}},
            "labels",
        ),
        (f"{ROLES}/guarded", {"metadata": {"labels": {"example.org/team": "b"}}}, "labels"),
        (f"{ROLES}/guarded", {"aggregationRule": {"clusterRoleSelectors": [{}]}}, "cluster-admin privileges"),
        (f"{ROLES}/aggregate", {"aggregationRule": None}, "cluster-admin privileges"),
        (f"{BINDINGS}/guarded", {"subjects": [user("mallory")]}, "not add any"),
        (f"{NAMESPACED}/roles/guarded", {"rules": SECRETS}, "not currently held"),
        (f"{ROLE_BINDINGS}/guarded", {"subjects": [user("mallory")]}, "not add any"),
    ],
)
def test_a_patch_only_takes_away(installed: APIServer, path: str, patch: Any, words: str) -> None:
    code, answer = installed.ask("PATCH", path, patch, user=ROLECALL, content_type=MERGE)
    assert (code, words in answer["message"]) == (403, True), answer


@pytest.mark.parametrize(
    ("method", "path", "body", "content_type"),
    [
        ("POST", ROLES, role("made"), "application/json"),
        ("POST", f"{NAMESPACED}/roles", role("made"), "application/json"),
        ("POST", BINDINGS, binding("made", "view", user("jane")), "application/json"),
        ("POST", ROLE_BINDINGS, binding("made", "view", user("jane")), "application/json"),
        ("PUT", f"{ROLES}/guarded", role("guarded", []), "application/json"),
        ("PATCH", f"{ROLES}/made?fieldManager=rolecall", applied("made"), APPLY),
        ("DELETE", ROLES, None, "application/json"),
        ("GET", "/api/v1/secrets", None, "application/json"),
        ("GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps", None, "application/json"),
        ("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/some", None, "application/json"),
        ("DELETE", f"/api/v1/namespaces/{NAMESPACE}", None, "application/json"),
        ("POST", f"{ACCOUNTS}/default/token", {}, "application/json"),
        ("DELETE", f"{ACCOUNTS}/default", None, "application/json"),
        ("GET", "/metrics", None, "application/json"),
    ],
)
def test_nothing_else_is_allowed(installed: APIServer, method: str, path: str, body: Any, content_type: str) -> None:
    code, answer = installed.ask(method, path, body, user=ROLECALL, content_type=content_type)
    assert (code, answer["reason"]) == (403, "Forbidden"), answer


@pytest.mark.parametrize(
    "request_",
    [
        Request("escalate", GROUP, "clusterroles"),
        Request("bind", GROUP, "clusterroles", name="cluster-admin"),
        Request("impersonate", "", "users"),
        Request("create", "", "pods"),
        Request("create", "", "pods", "exec"),
        Request("get", "", "nodes", "proxy"),
        Request("get", "", "secrets"),
        Request("approve", "certificates.k8s.io", "signers"),
        Request("update", "admissionregistration.k8s.io", "validatingadmissionpolicies"),
        Request("delete", "admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
    ],
    ids=str,
)
def test_the_account_has_none_of_the_powers_that_lead_to_more(rolecall: ClusterAPI, request_: Request) -> None:
    assert not rolecall.may(request_).allowed
