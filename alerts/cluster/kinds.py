"""The kinds of object Rolecall reads, and where the Kubernetes API keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object: its API group and version, the plural its URLs use, and whether it lives in namespaces."""

    name: str
    group: str
    version: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """The `apiVersion` of a manifest of this kind."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def collection(self, namespace: str = "") -> str:
        """Return the URL path of all objects of this kind, or of those in one namespace."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        return f"{root}{scope}/{self.plural}"


_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("ClusterRole", _RBAC, "v1", "clusterroles", namespaced=False),
        Kind("ClusterRoleBinding", _RBAC, "v1", "clusterrolebindings", namespaced=False),
        Kind("Role", _RBAC, "v1", "roles", namespaced=True),
        Kind("RoleBinding", _RBAC, "v1", "rolebindings", namespaced=True),
        Kind("Namespace", "", "v1", "namespaces", namespaced=False),
        Kind("ServiceAccount", "", "v1", "serviceaccounts", namespaced=True),
        Kind("Secret", "", "v1", "secrets", namespaced=True),
        Kind("ConfigMap", "", "v1", "configmaps", namespaced=True),
        Kind("Pod", "", "v1", "pods", namespaced=True),
        Kind("Deployment", "apps", "v1", "deployments", namespaced=True),
        Kind("DaemonSet", "apps", "v1", "daemonsets", namespaced=True),
        Kind("StatefulSet", "apps", "v1", "statefulsets", namespaced=True),
        Kind("ReplicaSet", "apps", "v1", "replicasets", namespaced=True),
        Kind("ReplicationController", "", "v1", "replicationcontrollers", namespaced=True),
        Kind("Job", "batch", "v1", "jobs", namespaced=True),
        Kind("CronJob", "batch", "v1", "cronjobs", namespaced=True),
        Kind("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies", namespaced=True),
        Kind("CertificateSigningRequest", "certificates.k8s.io", "v1", "certificatesigningrequests", namespaced=False),
        Kind("MutatingWebhookConfiguration", _ADMISSION, "v1", "mutatingwebhookconfigurations", namespaced=False),
        Kind("ValidatingWebhookConfiguration", _ADMISSION, "v1", "validatingwebhookconfigurations", namespaced=False),
        Kind("ValidatingAdmissionPolicy", _ADMISSION, "v1", "validatingadmissionpolicies", namespaced=False),
        Kind(
            "ValidatingAdmissionPolicyBinding", _ADMISSION, "v1", "validatingadmissionpolicybindings", namespaced=False
        ),
    )
}
RBAC_KINDS = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
WORKLOAD_KINDS = (
    "Pod",
    "Deployment",
    "DaemonSet",
    "StatefulSet",
    "ReplicaSet",
    "ReplicationController",
    "Job",
    "CronJob",
)


def kind_of(group: str, plural: str) -> Kind | None:
    """Return the kind an API group serves under a plural, or None where it is none of ours."""
    return next((kind for kind in KINDS.values() if (kind.group, kind.plural) == (group, plural)), None)


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """An object by its kind, namespace ("" where the kind has none) and name."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Self:
        """Return the reference of a manifest."""
        metadata = manifest["metadata"]
        return cls(manifest["kind"], metadata.get("namespace", ""), metadata["name"])

    def __str__(self) -> str:
        return f"{self.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name}"

    @property
    def path(self) -> str:
        """The object's URL path: RBAC names may hold spaces, stars, colons and quotes, so it is percent-encoded."""
        return f"{KINDS[self.kind].collection(self.namespace)}/{quote(self.name, safe='')}"
