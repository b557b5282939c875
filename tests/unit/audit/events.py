"""Audit events made for tests, as an API server writes them."""

import json
from typing import Any

from alerts.audit.decode import decode
from alerts.audit.event import Event

CREATOR = {"username": "mallory@example.com", "groups": ["contractors", "system:authenticated"]}
UID = "7d1f3c52-0000-4000-8000-0000000000b0"
RULES = [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["secrets"]}]


def role(name: str = "reader", **metadata: Any) -> dict[str, Any]:
    return {
        "kind": "ClusterRole",
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "metadata": {"name": name, "uid": UID, "resourceVersion": "4711"} | metadata,
        "rules": RULES,
    }


def creation(name: str = "reader", **changes: Any) -> dict[str, Any]:
    """Return a ClusterRole's creation at level RequestResponse; a change to None takes the field away."""
    event: dict[str, Any] = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": "6f0a6c1e-0000-4000-8000-00000000000b",
        "stage": "ResponseComplete",
        "requestURI": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "verb": "create",
        "user": CREATOR,
        "sourceIPs": ["198.51.100.23"],
        "userAgent": "kubectl/v1.32.4",
        "objectRef": {
            "resource": "clusterroles",
            "name": name,
            "apiGroup": "rbac.authorization.k8s.io",
            "apiVersion": "v1",
        },
        "responseStatus": {"metadata": {}, "code": 201},
        "requestObject": {
            "kind": "ClusterRole",
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "metadata": {"name": name},
            "rules": RULES,
        },
        "responseObject": role(name),
        "requestReceivedTimestamp": "2026-11-23T18:00:01.000000Z",
        "stageTimestamp": "2026-11-23T18:00:01.004000Z",
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    }
    return {key: value for key, value in (event | changes).items() if value is not None}


def metadata_only(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event as level Metadata would have it."""
    bodies = {"requestObject", "responseObject"}
    return {key: value for key, value in event.items() if key not in bodies} | {"level": "Metadata"}


def reading(audit_id: str = "r") -> dict[str, Any]:
    """Return a harmless read."""
    return creation(
        auditID=audit_id,
        level="Metadata",
        verb="get",
        requestURI="/api/v1/namespaces/web/pods/web-1",
        objectRef={"resource": "pods", "namespace": "web", "name": "web-1", "apiVersion": "v1"},
        responseStatus={"metadata": {}, "code": 200},
        requestObject=None,
        responseObject=None,
    )


def as_bytes(event: dict[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def event_list(*events: dict[str, Any] | bytes) -> bytes:
    """Return the body an API server's webhook would post."""
    items = b",".join(event if isinstance(event, bytes) else as_bytes(event) for event in events)
    return b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[' + items + b"]}\n"


def decoded(event: dict[str, Any]) -> Event:
    found = decode(as_bytes(event))
    assert not found.damaged
    return found.events[0]
