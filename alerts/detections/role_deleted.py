"""A role was deleted, one by one or many at once: access is gone, and so may be what shows how it was had.

A role that a finalizer keeps is not gone and still grants: the title says so.
ATT&CK: T1531, Account Access Removal; T1070, Indicator Removal.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from alerts.audit.event import Event, metadata_of
from alerts.detections import default_role_tampered
from alerts.detections.detection import Finding, Known, Manifest
from alerts.detections.writes import CONTROLLER_MANAGER, ROLES, about, kind_of, named, request_of, uid_of

NAME = "role_deleted"
TECHNIQUES = ("T1531", "T1070")
# They carry out what somebody else decided: a namespace ends, an owner is gone.
_CONTROLLERS = frozenset(
    {
        CONTROLLER_MANAGER,
        "system:serviceaccount:kube-system:namespace-controller",
        "system:serviceaccount:kube-system:generic-garbage-collector",
    }
)


def examine(event: Event, known: Known) -> Iterator[Finding]:
    """Yield a finding for each role that was deleted. A default role is the finding of another detection."""
    kind = kind_of(event)
    if (
        kind not in ROLES
        or event.succeeded is not True
        or (event.actor in _CONTROLLERS and not event.impersonated_user)
    ):
        return
    if event.verb == "delete":
        before = known.before(event, kind, None)
        if not default_role_tampered.deleted(event, kind, before):
            yield from _one(event, kind, _uid(event.response), held=_held(event.response))
    elif event.verb == "deletecollection":
        items = event.response.get("items") if isinstance(event.response, dict) else None
        if not isinstance(items, list):
            where = f" in {event.namespace}" if event.namespace else ""
            yield about(
                event, kind, NAME, ["all", *request_of(event)], f"{kind}s deleted{where}, all at once{_doubt(event)}"
            )
            return
        for item in items:
            yield from _item(event, kind, item)


def _item(event: Event, kind: str, item: Any) -> Iterator[Finding]:
    metadata = metadata_of(item)
    name, namespace = metadata.get("name"), metadata.get("namespace") or ""
    if isinstance(name, str) and name and isinstance(namespace, str):
        for finding in _one(event, kind, uid_of(item), held=_held(item), namespace=namespace, name=name):
            yield replace(finding, namespace=namespace, name=name)


def _one(
    event: Event, kind: str, uid: str, *, held: bool, namespace: str | None = None, name: str | None = None
) -> Iterator[Finding]:
    namespace = event.namespace if namespace is None else namespace
    name = event.name if name is None else name
    cause = ["uid", uid] if uid else ["request", namespace, name, *request_of(event)]
    ending = "deleted, but a finalizer keeps it in force" if held else f"deleted{_doubt(event)}"
    yield about(event, kind, NAME, cause, f"{named(kind, namespace, name)} {ending}", uid=uid)


def _doubt(event: Event) -> str:
    """Return what is to be added where the log does not tell a deletion from its rehearsal (level Metadata)."""
    return "" if event.dry_run is False else ", or rehearsed: the log does not tell"


def _held(answer: Any) -> bool:
    metadata = metadata_of(answer)
    return bool(metadata.get("deletionTimestamp") and metadata.get("finalizers"))


def _uid(answer: Any) -> str:
    """Return the uid from the deleted object, or from the Status that stands for it."""
    details: Manifest | Any = answer.get("details") if isinstance(answer, dict) else None
    uid = details.get("uid") if isinstance(details, dict) else uid_of(answer)
    return uid if isinstance(uid, str) else ""
