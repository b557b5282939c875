"""What the live cluster shows of its posture, alike on the practice cluster and on a real one."""

import uuid
from collections.abc import Iterator

import pytest

from alerts.cluster.kinds import Manifest, ObjectReference
from alerts.models import Cluster
from alerts.services.posture import live
from tests.cluster.conftest import APIServer

GUARD = "posture-guard"
ADMISSION = "admissionregistration.k8s.io/v1"
POLICY: Manifest = {
    "apiVersion": ADMISSION,
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": GUARD},
    "spec": {
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": ["rbac.authorization.k8s.io"],
                    "apiVersions": ["*"],
                    "resources": ["clusterroles", "clusterrolebindings"],
                    "operations": ["CREATE", "UPDATE"],
                }
            ]
        },
        "validations": [{"expression": "true"}],
    },
}
BINDING: Manifest = {
    "apiVersion": ADMISSION,
    "kind": "ValidatingAdmissionPolicyBinding",
    "metadata": {"name": GUARD},
    "spec": {"policyName": GUARD, "validationActions": ["Deny"]},
}


def namespaces(run: str) -> tuple[Manifest, Manifest, Manifest]:
    """Return a namespace with walls and level, its wall, and one without."""
    level = {"pod-security.kubernetes.io/enforce": "baseline"}
    walled = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"walled-{run}", "labels": level}}
    wall = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny", "namespace": f"walled-{run}"},
        "spec": {"podSelector": {}},
    }
    return walled, wall, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"open-{run}"}}


@pytest.fixture
def run() -> str:
    """What is new in every test: without its controller a namespace that is deleted keeps its name."""
    return uuid.uuid4().hex[:8]


@pytest.fixture
def prod(cluster: Cluster, api_server: APIServer, run: str) -> Iterator[Cluster]:
    """Our cluster, in which everything that these tests make is taken away afterwards."""
    cluster.api_address, cluster.certificate_authority = api_server.address, api_server.certificate_authority
    cluster.readable = cluster.private_address_allowed = True
    cluster.set_api_token(api_server.tokens["admin"])
    cluster.save()
    made = [POLICY, BINDING, *namespaces(run)]
    with api_server.client() as admin:
        for manifest in made:
            admin.create(manifest)
    yield cluster
    for manifest in reversed(made):
        remove(api_server, manifest)


def remove(api_server: APIServer, manifest: Manifest) -> None:
    api_server.ask("DELETE", ObjectReference.of(manifest).path)


def found(cluster: Cluster) -> set[tuple[str, str]]:
    looks = live.look(cluster)
    assert [gap for look in looks for gap in look.gaps] == []
    return {(each.kind.value, each.title) for look in looks for each in look.found}


def test_walls_and_levels_are_seen_namespace_by_namespace(prod: Cluster, run: str) -> None:
    seen = found(prod)
    assert {("network", f"open-{run}"), ("pods", f"open-{run}")} <= seen
    assert not {("network", f"walled-{run}"), ("pods", f"walled-{run}")} & seen


def test_an_admission_policy_guards_while_it_is_in_force(prod: Cluster, api_server: APIServer) -> None:
    assert "admission" not in {kind for kind, _ in found(prod)}
    remove(api_server, BINDING)
    assert "admission" in {kind for kind, _ in found(prod)}
