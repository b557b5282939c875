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
_NAMESPACES = "system:serviceaccount:kube-system:namespace-controller"
_GARBAGE = "system:serviceaccount:kube-system:generic-garbage-collector"


def examine(event: Event, known: Known) -> Iterator[Finding]:
    """Yield a finding for each role that was deleted. A default role is the finding of another detection."""
    kind = kind_of(event)
    if kind not in ROLES or event.succeeded is not True or _carries_out(event, kind, known):
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


def _carries_out(event: Event, kind: str, known: Known) -> bool:
    """Tell whether a controller only carries out what somebody else decided, and what is no secret."""
    if event.impersonated_user or event.actor not in {CONTROLLER_MANAGER, _NAMESPACES, _GARBAGE}:
        return False
    # The namespace controller deletes all at once and the garbage collector one by one, each under an account of its
    # own or both under the controller manager's (--use-service-account-credentials).
    return event.actor == _NAMESPACES or event.verb != "delete" or not _given_away(event, kind, known)


def _given_away(event: Event, kind: str, known: Known) -> bool:
    """Tell whether a role that is deleted for want of its owners got one of them only after it was made.

    Whoever may patch a role but not delete it gives it an owner that does not exist: the garbage collector does the
    rest (attemptToDeleteItem in pkg/controller/garbagecollector). An operator makes its roles with their owners.
    """
    before = known.before(event, kind, None)
    if before is None:
        return False
    first = known.first(event, kind, uid_of(before)) or before
    owners = _owners(before)
    return not owners or not owners <= _owners(first)


def _owners(manifest: Manifest) -> set[str]:
    listed = metadata_of(manifest).get("ownerReferences")
    return {str(each.get("uid")) for each in listed if isinstance(each, dict)} if isinstance(listed, list) else set()


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
    if event.actor in {CONTROLLER_MANAGER, _GARBAGE} and not event.impersonated_user:
        ending += ", for an owner that it was given later"
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
