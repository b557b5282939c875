"""A role was deleted, one by one or many at once: access is gone, and so may be what shows how it was had.

A role that a finalizer keeps is not gone and still grants: the title says so.
ATT&CK: T1531, Account Access Removal; T1070, Indicator Removal.
"""

from collections.abc import Iterator
from dataclasses import replace

from alerts.audit.event import Event
from alerts.detections.deletion import Deletion, deletions
from alerts.detections.detection import Finding, Known
from alerts.detections.writes import CONTROLLER_MANAGER, ROLES, about, is_default, kind_of, named, request_of

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
    if kind not in ROLES or (event.actor in _CONTROLLERS and not event.impersonated_user):
        return
    for gone in deletions(event, kind, known):
        if not gone.name:
            where = f" in {gone.namespace}" if gone.namespace else ""
            yield about(event, kind, NAME, ["all", *request_of(event)], f"{kind}s deleted{where}, all at once")
        elif not is_default(kind, gone.name, gone.before):
            yield _one(event, kind, gone)


def _one(event: Event, kind: str, gone: Deletion) -> Finding:
    cause = ["uid", gone.uid] if gone.uid else ["request", gone.namespace, gone.name, *request_of(event)]
    ending = "deleted, but a finalizer keeps it in force" if gone.held else "deleted"
    title = f"{named(kind, gone.namespace, gone.name)} {ending}"
    return replace(about(event, kind, NAME, cause, title, uid=gone.uid), namespace=gone.namespace, name=gone.name)
