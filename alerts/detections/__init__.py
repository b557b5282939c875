"""The patterns we look for, one module each: plain Python over one event at a time.

An event is found once for the object it is about: of several detections that look at changes of a role, the one that
says most. Whom somebody impersonated is found besides.
"""

from collections.abc import Iterator

from alerts.audit.event import RBAC_GROUP, WRITES, Event
from alerts.audit.glance import Glance
from alerts.detections import (
    binding_changed,
    binding_created,
    certificate_approved,
    cluster_role_created,
    default_role_tampered,
    escalation_refused,
    many_attempts,
    powerful_impersonation,
    role_aggregated,
    role_created,
    role_deleted,
    role_widened,
    token_issued,
)
from alerts.detections.detection import NOTHING_KNOWN, Finding, Known
from alerts.detections.identity import Identity
from alerts.detections.writes import KINDS, ROLES

__all__ = ["JUDGED_BY_CHANGE", "TECHNIQUES", "Finding", "Identity", "Known", "examine", "identity", "may_matter"]

_OF_BOTH = (default_role_tampered, escalation_refused)
_OF_ROLES = (cluster_role_created, role_created, role_widened, role_aggregated, role_deleted, *_OF_BOTH)
_OF_BINDINGS = (binding_created, binding_changed, *_OF_BOTH)
# Of a hundred events ninety-seven are about nothing that any detection looks at: they are told by a look-up.
_OF_WRITES = {
    **{(RBAC_GROUP, resource): _OF_ROLES if kind in ROLES else _OF_BINDINGS for resource, kind in KINDS.items()},
    ("", "serviceaccounts"): (token_issued,),
    ("", "secrets"): (token_issued,),
    ("certificates.k8s.io", "certificatesigningrequests"): (certificate_approved,),
}
_DETECTIONS = (
    *_OF_ROLES,
    binding_created,
    binding_changed,
    powerful_impersonation,
    token_issued,
    certificate_approved,
    many_attempts,
)
# What these find in an event depends on what was there before it, or at first, and on nothing else that is known.
JUDGED_BY_CHANGE = frozenset(each.NAME for each in (role_widened, role_deleted, binding_changed, default_role_tampered))
TECHNIQUES: dict[str, tuple[str, ...]] = {detection.NAME: detection.TECHNIQUES for detection in _DETECTIONS}
# API servers make UUIDs. A longer one was chosen by somebody: it may be absurd, or that of a canary of ours.
_LONGEST_MADE = 36
_IDENTITIES = {each.NAME: each.identity for each in (powerful_impersonation, token_issued, certificate_approved)}


def may_matter(event: Event | Glance) -> bool:
    """Tell whether any detection could find something in an event: in most, reads above all, none can.

    An event that names no object may be what is left of a write, and one about RBAC may be a way of writing it that is
    not known here.
    """
    # Asked of every event there is, so nothing is called.
    if event.impersonated_user is not None or len(event.audit_id) > _LONGEST_MADE:
        return True
    if event.response_status is not None and event.response_status.code == 403:
        return True
    if event.verb not in WRITES:
        return not event.verb
    about = event.object_ref
    return about is None or about.api_group == RBAC_GROUP or (about.api_group, about.resource) in _OF_WRITES


def examine(event: Event, known: Known = NOTHING_KNOWN) -> Iterator[Finding]:
    """Yield what every detection finds in an event."""
    if event.verb in WRITES:
        for detection in _OF_WRITES.get((event.group, event.resource), ()):
            yield from detection.examine(event, known)
    if event.impersonated_user is not None or event.code == 403:
        yield from powerful_impersonation.examine(event, known)


def identity(detection: str, event: Event) -> Identity | None:
    """Return whose power a finding of that detection is about; None for roles and bindings, or where it is unknown."""
    named = _IDENTITIES.get(detection)
    return named(event) if named else None
