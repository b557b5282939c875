"""The history of one role, `reader`: events that tell of it, and what was recorded of it."""

from typing import Any

from alerts.models import AccessObject, Cluster
from tests.integration import examining
from tests.unit.audit.events import RULES, UID, creation, event_list, role

RBAC = {"apiGroup": "rbac.authorization.k8s.io", "apiVersion": "v1"}
ADDRESS = "/apis/rbac.authorization.k8s.io/v1/clusterroles/reader"
MORE = [*RULES, {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
STATUS = {"kind": "Status", "status": "Success", "details": {"name": "reader", "uid": UID}}


def at(second: int) -> dict[str, str]:
    return {"requestReceivedTimestamp": f"2026-11-23T18:00:{second:02}.000000Z"}


def change(second: int, version: str, rules: list[Any] = MORE, **changes: Any) -> dict[str, Any]:
    fields = {
        "verb": "patch",
        "requestURI": ADDRESS,
        "responseStatus": {"code": 200},
        "requestObject": [{"op": "replace", "path": "/rules", "value": rules}],
        "responseObject": role(resourceVersion=version) | {"rules": rules},
    }
    return creation(**(fields | at(second) | changes))


def deletion(second: int, **changes: Any) -> dict[str, Any]:
    fields = {
        "verb": "delete",
        "requestURI": ADDRESS,
        "responseStatus": {"code": 200},
        "requestObject": None,
        "responseObject": STATUS,
    }
    return creation(**(fields | at(second) | changes))


def take_in(cluster: Cluster, *events: dict[str, Any]) -> None:
    examining.take_in(cluster, event_list(*events))


def reader() -> AccessObject:
    return AccessObject.objects.get(name="reader")


def history() -> list[tuple[str, str, bool]]:
    versions = reader().versions.order_by("at", "pk")
    return [(version.uid, version.resource_version, version.deletion) for version in versions]
