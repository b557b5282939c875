"""Roles and bindings made for tests of posture."""

from typing import Any

from alerts import rbac
from alerts.models import AccessObject, AccessVersion, Cluster

RBAC = "rbac.authorization.k8s.io"


def role(name: str, *rules: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "ClusterRole", "metadata": {"name": name}, "rules": list(rules)}


def rule(group: str, resource: str, *verbs: str, **more: Any) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs), **more}


def bound(role_name: str, kind: str, name: str, namespace: str = "", **subject: str) -> dict[str, Any]:
    metadata = {"name": f"{role_name}-to-{name}"} | ({"namespace": namespace} if namespace else {})
    return {
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": {"kind": "ClusterRole", "name": role_name},
        "subjects": [{"kind": kind, "name": name, **subject}],
    }


def access(*manifests: dict[str, Any]) -> rbac.Access:
    return rbac.Access.of_manifests(manifests)


def keep(cluster: Cluster, *manifests: dict[str, Any]) -> None:
    """Have the objects stand on the cluster, as a listing would have found them."""
    for manifest in manifests:
        metadata = manifest["metadata"]
        named = AccessObject.named(cluster, manifest["kind"], metadata.get("namespace", ""), metadata["name"])
        AccessVersion.objects.create(object=named, source="listing", manifest=manifest)


def remove(cluster: Cluster, manifest: dict[str, Any]) -> None:
    """Have the object be gone."""
    metadata = manifest["metadata"]
    named = AccessObject.named(cluster, manifest["kind"], metadata.get("namespace", ""), metadata["name"])
    AccessVersion.objects.create(object=named, source="listing", deletion=True)
