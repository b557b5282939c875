"""deploy/rbac/remover.yaml on a real API server: what was left behind can be deleted, and its guard keeps the rest."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from alerts.cluster.api import ClusterAPI
from alerts.cluster.errors import NotFound
from alerts.cluster.kinds import KINDS, Manifest, ObjectReference
from tests.cluster.conftest import DEPLOYED, NAMESPACE, APIServer
from tests.cluster.control_plane.plane import ControlPlane
from tests.cluster.test_removal import JOB, SELECTED, SPECS, TEMPLATE

pytestmark = pytest.mark.control_plane

FILES = [f"--filename={DEPLOYED / name}.yaml" for name in ("account", "reader", "guard", "remover")]
ACCOUNT = "rolecall"
MANIFESTS: dict[str, Manifest] = SPECS | {
    "StatefulSet": {"spec": SELECTED | {"serviceName": "left"}},
    "ReplicaSet": {"spec": SELECTED},
    "ReplicationController": {"spec": {"selector": {"app": "left"}, "template": TEMPLATE}},
    "Job": {"spec": JOB},
    "MutatingWebhookConfiguration": {"webhooks": []},
    "ValidatingWebhookConfiguration": {"webhooks": []},
}


@pytest.fixture(scope="module")
def installed(real: APIServer, control_plane: ControlPlane) -> Iterator[APIServer]:
    """Install the account with its guard, and wait until that is on duty."""
    control_plane.kubectl("apply", *FILES)
    real.tokens[ACCOUNT] = control_plane.kubectl("create", "token", ACCOUNT, "--namespace=rolecall").strip()
    path = "/api/v1/namespaces/rolecall/serviceaccounts/rolecall?dryRun=All"
    deadline = time.monotonic() + 30
    while real.ask("DELETE", path, user=ACCOUNT)[0] != 403:
        assert time.monotonic() < deadline, "the guard never came on duty"
        time.sleep(0.1)
    yield real
    # The namespace stays: another module may install the account again before it would be gone.
    control_plane.kubectl("delete", "--wait=false", *FILES[1:])
    del real.tokens[ACCOUNT]


@pytest.fixture
def rolecall(installed: APIServer) -> Iterator[ClusterAPI]:
    with installed.client(ACCOUNT) as api:
        yield api


def make(installed: APIServer, kind: str, namespace: str, name: str, **labels: str) -> ObjectReference:
    body = {"metadata": {"name": name, "labels": labels}} | MANIFESTS[kind]
    reference = ObjectReference(kind, namespace if KINDS[kind].namespaced else "", name)
    code, answer = installed.ask("POST", KINDS[kind].collection(reference.namespace), body)
    assert code == 201, answer
    return reference


@pytest.mark.parametrize("kind", MANIFESTS)
def test_the_remover_deletes_what_somebody_left(installed: APIServer, rolecall: ClusterAPI, kind: str) -> None:
    reference = make(installed, kind, NAMESPACE, "left-for-the-remover")
    uid = rolecall.read(reference)["metadata"]["uid"]
    for dry_run in (True, False):
        assert rolecall.delete(reference, uid=uid, resource_version=None, dry_run=dry_run).finished
    with pytest.raises(NotFound):
        rolecall.read(reference)


@pytest.mark.parametrize(
    ("kind", "namespace", "labels"),
    [
        ("DaemonSet", NAMESPACE, {"rolecall/protected": ""}),
        ("ServiceAccount", "rolecall", {}),
        ("Pod", "kube-system", {"tier": "control-plane"}),
        ("DaemonSet", "kube-system", {"k8s-app": "kube-proxy"}),
        ("Deployment", "kube-system", {"k8s-app": "kube-dns"}),
        ("ValidatingWebhookConfiguration", "", {"rolecall/protected": ""}),
    ],
)
def test_the_guard_keeps_the_account_off(
    installed: APIServer, kind: str, namespace: str, labels: dict[str, str]
) -> None:
    reference = make(installed, kind, namespace, "guarded", **labels)
    code, answer = installed.ask("DELETE", reference.path, user=ACCOUNT)
    assert (code, "ValidatingAdmissionPolicy 'rolecall-guard-removals'" in answer["message"]) == (403, True), answer
    assert installed.ask("DELETE", reference.path)[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods", None),
        ("DELETE", f"/api/v1/namespaces/{NAMESPACE}/secrets/some", None),
        ("DELETE", f"/api/v1/namespaces/{NAMESPACE}/configmaps/some", None),
        ("DELETE", f"/api/v1/namespaces/{NAMESPACE}", None),
        ("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/rolecall-guard-removals", None),
        ("DELETE", "/apis/rbac.authorization.k8s.io/v1/clusterroles/view", None),
        ("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", {"metadata": {"name": "made"}} | SPECS["Pod"]),
        ("POST", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", {"metadata": {"name": "made"}}),
        ("GET", "/api/v1/secrets", None),
    ],
)
def test_nothing_else_is_allowed(installed: APIServer, method: str, path: str, body: Any) -> None:
    code, answer = installed.ask(method, path, body, user=ACCOUNT)
    assert (code, answer["reason"]) == (403, "Forbidden"), answer
