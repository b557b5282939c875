"""The findings on which policies should have prevented it."""

from typing import Any

import pytest

from alerts import rbac
from alerts.models import Cluster
from alerts.services import posture
from tests.unit.audit.events import creation, decoded

REF = rbac.RoleRef("ClusterRole", "new")
RULES = rbac.parse([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}])
RBAC = "rbac.authorization.k8s.io"


def role(name: str, *rules: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "ClusterRole", "metadata": {"name": name}, "rules": list(rules)}


def rule(group: str, resource: str, *verbs: str, **more: Any) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs), **more}


def bound(role_name: str, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
    metadata = {"name": f"{role_name}-to-{name}"} | ({"namespace": namespace} if namespace else {})
    return {
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": {"kind": "ClusterRole", "name": role_name},
        "subjects": [{"kind": kind, "name": name}],
    }


def found(cluster: Cluster, *manifests: dict[str, Any], events: list[Any] | None = None) -> dict[str, posture.Finding]:
    access = rbac.Access.of_manifests(manifests)
    findings = posture.findings(cluster, access, ref=REF, rules=RULES, events=events or [])
    return {finding["key"]: finding for finding in findings}


CREATE = rule(RBAC, "clusterroles", "create")


@pytest.mark.parametrize(
    "second",
    [rule(RBAC, "clusterroles", "escalate"), rule("", "secrets", "get", "list", "watch")],
    ids=["escalate", "holds it"],
)
def test_who_may_create_roles_and_pass_the_escalation_check_could_have_made_it(
    cluster: Cluster, second: dict[str, Any]
) -> None:
    findings = found(cluster, role("maker", CREATE, second), bound("maker", "User", "eve"))
    assert findings["makers"]["lines"] == ["user eve, by ClusterRoleBinding maker-to-eve"]
    assert findings["makers"]["level"] == "high"


def test_the_maker_itself_is_no_news(cluster: Cluster) -> None:
    powers = role("maker", CREATE, rule(RBAC, "clusterroles", "escalate"))
    access = rbac.Access.of_manifests([powers, bound("maker", "User", "eve")])
    findings = posture.findings(cluster, access, ref=REF, rules=RULES, maker="eve")
    (makers,) = [finding for finding in findings if finding["key"] == "makers"]
    assert (makers["level"], makers["title"]) == ("medium", "Its maker can make such a role, and nobody else")


def test_who_may_create_roles_only_could_not_have_made_it(cluster: Cluster) -> None:
    assert "makers" not in found(cluster, role("maker", CREATE), bound("maker", "User", "eve"))


def test_escalate_on_a_named_role_does_not_let_create_another(cluster: Cluster) -> None:
    named = rule(RBAC, "clusterroles", "escalate", resourceNames=["new"])
    assert "makers" not in found(cluster, role("maker", CREATE, named), bound("maker", "User", "eve"))


def test_a_role_binding_lets_nobody_make_cluster_roles(cluster: Cluster) -> None:
    powers = role("maker", CREATE, rule(RBAC, "clusterroles", "escalate"))
    assert "makers" not in found(cluster, powers, bound("maker", "User", "eve", namespace="web"))


def test_who_may_bind_it_by_its_name_is_found(cluster: Cluster) -> None:
    binder = role(
        "binder",
        rule(RBAC, "clusterrolebindings", "create"),
        rule(RBAC, "clusterroles", "bind", resourceNames=["new"]),
    )
    findings = found(cluster, binder, bound("binder", "User", "eve"))
    assert findings["binders"]["lines"] == ["user eve, by ClusterRoleBinding binder-to-eve"]


def test_who_holds_as_much_or_more_is_found(cluster: Cluster) -> None:
    findings = found(
        cluster,
        role("more", rule("", "*", "*")),
        role("less", rule("", "secrets", "get")),
        bound("more", "User", "eve"),
        bound("less", "User", "bob"),
    )
    assert findings["equals"]["lines"] == ["user eve, by ClusterRoleBinding more-to-eve of ClusterRole more"]


def test_grants_to_everybody_are_found_and_kubernetes_own_are_not(cluster: Cluster) -> None:
    findings = found(
        cluster,
        role("open", rule("", "pods", "get")),
        role("system:discovery", {"nonResourceURLs": ["/api"], "verbs": ["get"]}),
        bound("open", "Group", "system:unauthenticated"),
        bound("open", "Group", "system:authenticated"),
        bound("system:discovery", "Group", "system:authenticated"),
    )
    assert findings["public"]["level"] == "critical"
    assert len(findings["public"]["lines"]) == len(findings["everybody"]["lines"]) == 1


def test_what_could_not_be_evaluated_says_so_and_is_no_finding(cluster: Cluster) -> None:
    findings = list(found(cluster).values())
    assert [finding["level"] for finding in findings] == ["soft"]
    assert findings[0]["detail"] == "Rolecall has no API address for cluster prod-eu."
    assert posture.evidence(findings)["summary"] == "No findings."


def test_rules_that_were_not_recorded_are_a_gap_in_the_audit_policy(cluster: Cluster) -> None:
    poor = decoded(creation(level="Metadata", requestObject=None, responseObject=None))
    assert found(cluster, events=[poor])["audit"]["lines"] == [
        "roles and bindings: what they permit (level Metadata; RequestResponse records it)"
    ]
    assert "audit" not in found(cluster, events=[decoded(creation())])


def test_secrets_in_the_audit_log_are_a_finding(cluster: Cluster) -> None:
    secret = creation(objectRef={"resource": "secrets", "namespace": "web", "name": "s", "apiVersion": "v1"})
    assert found(cluster, events=[decoded(secret)])["audit-secrets"]["level"] == "high"
    assert "audit-secrets" not in found(cluster, events=[decoded(secret | {"level": "Metadata"})])


def test_long_lists_are_cut_and_say_so(cluster: Cluster) -> None:
    many = [bound("more", "User", f"user-{number}") for number in range(30)]
    equals = found(cluster, role("more", rule("", "*", "*")), *many)["equals"]
    assert (len(equals["lines"]), equals["left_out"]) == (12, 18)
