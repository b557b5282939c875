"""Small clusters for tests, as parsed manifests."""

from typing import Any

from alerts.rbac import Access, RoleRef
from tests.unit.rbac.writing import rules


def role(
    name: str, *phrases: str, namespace: str = "", labels: dict[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "labels": labels or {}} | ({"namespace": namespace} if namespace else {})
    return {"kind": "Role" if namespace else "ClusterRole", "metadata": metadata, "rules": rules(*phrases)} | more


def aggregated(name: str, label: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    selectors = [{"matchLabels": {label: "true"}}]
    return role(name, labels=labels, aggregationRule={"clusterRoleSelectors": selectors}) | {"rules": None}


def subject(text: str) -> dict[str, str]:
    """Read `user ana`, `group devs`, `account web/bot` or `account bot`."""
    kind, name = text.split(" ")
    if kind != "account":
        return {"kind": kind.capitalize(), "name": name}
    namespace, slash, account = name.rpartition("/")
    return {"kind": "ServiceAccount", "name": account} | ({"namespace": namespace} if slash else {})


def binding(name: str, to: str, *subjects: str, namespace: str = "", role_kind: str = "ClusterRole") -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": to},
        "subjects": [subject(text) for text in subjects],
    }


def cluster(*manifests: dict[str, Any]) -> Access:
    return Access.of_manifests(manifests)


def ref(name: str, namespace: str = "") -> RoleRef:
    return RoleRef("Role" if namespace else "ClusterRole", name, namespace)
