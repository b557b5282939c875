"""A role was deleted, one by one or many at once: access is gone, and so may be what shows how it was had.

A role that a finalizer keeps is not gone and still grants: the title says so.
ATT&CK: T1531, Account Access Removal; T1070, Indicator Removal.
"""

from collections.abc import Iterator
from dataclasses import replace

from alerts.audit.event import Event, metadata_of
from alerts.detections.deletion import Deletion, deletions
from alerts.detections.detection import Finding, Known, Manifest
from alerts.detections.writes import CONTROLLER_MANAGER, ROLES, about, is_default, kind_of, named, request_of, uid_of

NAME = "role_deleted"
TECHNIQUES = ("T1531", "T1070")
# They carry out what somebody else decided: a namespace ends, an owner is gone.
_NAMESPACES = "system:serviceaccount:kube-system:namespace-controller"
_GARBAGE = "system:serviceaccount:kube-system:generic-garbage-collector"


def examine(event: Event, known: Known) -> Iterator[Finding]:
    """Yield a finding for each role that was deleted. A default role is the finding of another detection."""
    kind = kind_of(event)
    if kind not in ROLES or _carries_out(event, kind, known):
        return
    for gone in deletions(event, kind, known):
        if not gone.name:
            where = f" in {gone.namespace}" if gone.namespace else ""
            yield about(event, kind, NAME, ["all", *request_of(event)], f"{kind}s deleted{where}, all at once")
        elif not is_default(kind, gone.name, gone.before):
            yield _one(event, kind, gone)


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


def _one(event: Event, kind: str, gone: Deletion) -> Finding:
    cause = ["uid", gone.uid] if gone.uid else ["request", gone.namespace, gone.name, *request_of(event)]
    ending = f"deleted, {gone.held}" if gone.held else "deleted"
    if event.actor in {CONTROLLER_MANAGER, _GARBAGE} and not event.impersonated_user:
        ending += ", for an owner that it was given later"
    title = f"{named(kind, gone.namespace, gone.name)} {ending}"
    return replace(about(event, kind, NAME, cause, title, uid=gone.uid), namespace=gone.namespace, name=gone.name)
