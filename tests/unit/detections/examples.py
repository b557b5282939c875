"""Events on every kind of object that detections look at, and a cluster of which something is known."""

from typing import Any

from alerts import detections, rbac
from alerts.audit.event import Event
from alerts.detections import Finding
from tests.unit.audit.events import RULES, UID, creation, decoded

RBAC = "rbac.authorization.k8s.io"
SECRETS = RULES
PODS = [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]
EVERYTHING = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
AGGREGATION_CONTROLLER = "system:serviceaccount:kube-system:clusterrole-aggregation-controller"
RESOURCES = {
    "ClusterRole": "clusterroles",
    "Role": "roles",
    "ClusterRoleBinding": "clusterrolebindings",
    "RoleBinding": "rolebindings",
}
ESCALATION = 'user "jane" (groups=["dev"]) is attempting to grant RBAC permissions not currently held:\n{...}'
STATUS = {"kind": "Status", "status": "Success", "details": {"name": "reader", "uid": UID}}


class Seen:
    """A cluster of which these manifests were seen."""

    def __init__(self, *manifests: dict[str, Any]) -> None:
        self.manifests = manifests

    def before(self, event: Event, kind: str, _after: Any, /) -> dict[str, Any] | None:
        for manifest in self.manifests:
            metadata = manifest["metadata"]
            if (manifest["kind"], metadata.get("namespace", ""), metadata["name"]) == (
                kind,
                event.namespace,
                event.name,
            ):
                return manifest
        return None

    def first(self, _event: Event, _kind: str, uid: str, /) -> dict[str, Any] | None:
        return next((each for each in reversed(self.manifests) if each["metadata"].get("uid") == uid), None)

    def access(self) -> rbac.Access:
        return rbac.Access.of_manifests(self.manifests)


def manifest(kind: str = "ClusterRole", name: str = "reader", version: str = "1", **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, "uid": UID, "resourceVersion": version} | fields.pop("metadata", {})
    if kind in {"Role", "RoleBinding"}:
        metadata.setdefault("namespace", "web")
    content = {"rules": PODS} if kind.endswith("Role") else {"roleRef": reference("view"), "subjects": []}
    return {"kind": kind, "apiVersion": f"{RBAC}/v1", "metadata": metadata} | content | fields


def reference(name: str, kind: str = "ClusterRole") -> dict[str, str]:
    return {"apiGroup": RBAC, "kind": kind, "name": name}


def user(name: str) -> dict[str, str]:
    return {"kind": "User", "apiGroup": RBAC, "name": name}


def write(after: dict[str, Any], verb: str = "patch", code: int = 200, **changes: Any) -> dict[str, Any]:
    """Return a write that left an object as `after`, by a patch unless something else is said."""
    kind, metadata = after["kind"], after["metadata"]
    named = {"resource": RESOURCES[kind], "name": metadata["name"], "apiGroup": RBAC, "apiVersion": "v1"}
    where = f"namespaces/{metadata['namespace']}/" if "namespace" in metadata else ""
    if where:
        named["namespace"] = metadata["namespace"]
    fields = {
        "verb": verb,
        "requestURI": f"/apis/{RBAC}/v1/{where}{RESOURCES[kind]}/{metadata['name']}",
        "objectRef": named,
        "responseStatus": {"code": code},
        "requestObject": [{"op": "replace", "path": "/rules", "value": []}],
        "responseObject": after,
    }
    return creation(metadata["name"], **(fields | changes))


def bare(answer: dict[str, Any], kind: str = "PartialObjectMetadata") -> dict[str, Any]:
    """Return what is answered in place of an object where a client asks for its metadata alone, or for a table."""
    metadata = {"kind": "PartialObjectMetadata", "metadata": answer["metadata"]}
    return metadata if kind == metadata["kind"] else {"kind": kind, "metadata": {}, "rows": [{"object": metadata}]}


def filled(after: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the write by which the aggregation controller gave a role its rules, as it sends it."""
    sent = {
        "kind": "ClusterRole",
        "apiVersion": f"{RBAC}/v1",
        "metadata": {"name": after["metadata"]["name"]},
        "rules": after["rules"],
    }
    fields: dict[str, Any] = {"user": {"username": AGGREGATION_CONTROLLER}, "requestObject": sent}
    return write(after, **(fields | changes))


def refusal(after: dict[str, Any], message: str, verb: str = "patch", **changes: Any) -> dict[str, Any]:
    return write(
        after, verb, 403, **({"responseStatus": {"code": 403, "message": message}, "responseObject": None} | changes)
    )


def findings(event: dict[str, Any], *seen: dict[str, Any]) -> list[Finding]:
    return list(detections.examine(decoded(event), Seen(*seen)))


def found(event: dict[str, Any], *seen: dict[str, Any]) -> tuple[str, str]:
    """Return the detection and the title of the one finding in an event, after these objects were seen."""
    (finding,) = findings(event, *seen)
    return finding.detection, finding.title
