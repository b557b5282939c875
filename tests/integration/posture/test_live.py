"""What only the live cluster shows, asked from the practice cluster."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from alerts import tasks
from alerts.cluster.api import ClusterAPI
from alerts.cluster.kinds import Manifest, ObjectReference
from alerts.cluster.practice import server
from alerts.models import Cluster
from alerts.services.posture import live
from tests import faults

GUARD = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": "no-stars"},
    "spec": {
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": ["rbac.authorization.k8s.io"],
                    "apiVersions": ["*"],
                    "resources": ["clusterroles"],
                    "operations": ["CREATE", "UPDATE"],
                }
            ]
        },
        "validations": [{"expression": "true"}],
    },
}
IN_FORCE = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicyBinding",
    "metadata": {"name": "no-stars"},
    "spec": {"policyName": "no-stars", "validationActions": ["Deny"]},
}
WALL = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny", "namespace": "web"},
    "spec": {"podSelector": {}},
}


@pytest.fixture
def practice(socket_enabled: None) -> Iterator[server.PracticeCluster]:
    with server.running() as running:
        yield running


@pytest.fixture
def network(practice: server.PracticeCluster) -> Iterator[faults.Network]:
    with faults.network(practice.address) as between:
        yield between


@pytest.fixture
def prod(cluster: Cluster, practice: server.PracticeCluster, network: faults.Network) -> Cluster:
    cluster.api_address = network.address
    cluster.readable = cluster.private_address_allowed = True
    cluster.set_api_token(practice.token)
    cluster.save()
    return cluster


def create(practice: server.PracticeCluster, *manifests: Manifest) -> None:
    with ClusterAPI(practice.address, practice.admin_token, private_address_allowed=True) as admin:
        for manifest in manifests:
            admin.create(manifest)


def found(cluster: Cluster) -> dict[str, dict[str, str]]:
    """Return titles and details by kind."""
    kinds: dict[str, dict[str, str]] = {}
    for look in live.look(cluster):
        for each in look.found:
            kinds.setdefault(each.kind.value, {})[each.title] = each.detail
    return kinds


def namespace(name: str, **labels: str) -> Manifest:
    labelled = {f"pod-security.kubernetes.io/{key}": value for key, value in labels.items()}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labelled}}


def test_namespaces_without_walls_are_found_one_by_one(prod: Cluster, practice: server.PracticeCluster) -> None:
    create(
        practice,
        namespace("web", enforce="privileged"),
        namespace("shop", enforce="restricted"),
        namespace("lab", warn="restricted"),
        WALL,
    )
    kinds = found(prod)
    assert {"shop", "lab"} <= kinds["network"].keys()
    assert not {"web", "kube-system"} & kinds["network"].keys()
    assert kinds["pods"]["web"].startswith("enforces privileged")
    assert kinds["pods"]["lab"].startswith("enforces no level")
    assert not {"shop", "kube-system"} & kinds["pods"].keys()


def test_a_policy_for_some_requests_only_or_without_a_binding_guards_nothing(
    prod: Cluster, practice: server.PracticeCluster
) -> None:
    create(practice, GUARD)
    ((title, detail),) = found(prod)["admission"].items()
    assert title == "No admission policy guards cluster roles and their bindings"
    # Rolecall's own guard concerns Rolecall's account alone.
    assert "only for some requests: rolecall-guard" in detail
    assert "bound with no Deny: no-stars" in detail


def test_a_policy_in_force_for_everybody_guards(prod: Cluster, practice: server.PracticeCluster) -> None:
    create(practice, GUARD, IN_FORCE)
    assert "admission" not in found(prod)


def test_what_is_fixed_on_the_cluster_closes_itself_at_the_next_listing(
    prod: Cluster, practice: server.PracticeCluster
) -> None:
    create(practice, namespace("lab"))
    tasks.refresh_inventory(prod.pk)
    findings = prod.posture_findings.filter(kind="pods", title="lab")
    assert findings.open().count() == 1
    with ClusterAPI(practice.address, practice.admin_token, private_address_allowed=True) as admin:
        admin.patch(ObjectReference("Namespace", "", "lab"), namespace("lab", enforce="baseline"))
    with time_machine.travel(timezone.now() + timedelta(minutes=5), tick=True):
        tasks.refresh_inventory(prod.pk)
    assert findings.open().count() == 0
    assert [day.open_count for day in prod.posture_reviews.all()] == [prod.posture_findings.open().count()]


def test_what_may_not_be_read_is_a_gap_and_the_rest_is_evaluated(prod: Cluster, network: faults.Network) -> None:
    network.plan(faults.Answer(403, "networkpolicies is forbidden"), method="GET", contains="networkpolicies")
    looks = live.look(prod)
    (gap,) = [gap for look in looks for gap in look.gaps]
    assert gap.startswith("Network policies were not evaluated.")
    assert {kind.value for look in looks for kind in look.judged} == {"pods", "admission"}
