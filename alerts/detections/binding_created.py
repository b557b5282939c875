"""A binding was created: somebody holds a role from now on. Or somebody tried to create one and was refused.

How bad it is follows from the role and from those who get it, not from the event.
ATT&CK: T1098.006, Additional Container Cluster Roles.
"""

from collections.abc import Iterator
from functools import partial

from alerts import rbac
from alerts.audit.event import Event
from alerts.detections.creation import creations
from alerts.detections.detection import Finding, Known, Manifest
from alerts.detections.writes import BINDINGS, kind_of

NAME = "binding_created"
TECHNIQUES = ("T1098.006",)


def examine(event: Event, _known: Known) -> Iterator[Finding]:
    """Yield a finding where the event is the creation of a binding, or an attempt at it; a rehearsal is neither."""
    kind = kind_of(event)
    if kind in BINDINGS:
        yield from creations(event, kind, NAME, given=partial(grant, kind))


def grant(kind: str, manifest: Manifest | None) -> str:
    """Return what a binding gives to whom, in words: `cluster-admin for user jane and 2 more`; "" where unknown."""
    binding = binding_of(kind, manifest)
    if binding is None:
        return ""
    return f"{binding.role.name} for {people(binding.subjects)}"


def binding_of(kind: str, manifest: Manifest | None) -> rbac.Binding | None:
    """Return the binding that a manifest is, None where it is unknown or none that Kubernetes would take."""
    try:
        return rbac.Binding.of_manifest({**manifest, "kind": kind}) if manifest is not None else None
    except rbac.InvalidRules:
        return None


def people(subjects: tuple[rbac.Subject, ...]) -> str:
    """Return subjects in words, the gravest of them by name: `anybody without log-in and 1 more`."""
    if not subjects:
        return "nobody"
    first = min(subjects, key=lambda subject: (not subject.public, not subject.everybody))
    who = "anybody without log-in" if first.public else f"everybody ({first.name})" if first.everybody else str(first)
    more = len(subjects) - 1
    return f"{who} and {more} more" if more else who
