"""A binding that was there gives its role to somebody it did not before, or nobody can tell.

The role of a binding cannot be changed: that is always a deletion and a creation. Removing subjects gives nobody more.
ATT&CK: T1098.006, Additional Container Cluster Roles.
"""

from collections.abc import Iterator

from alerts.audit.event import Event
from alerts.detections import default_role_tampered
from alerts.detections.binding_created import binding_of, people
from alerts.detections.detection import Finding, Known, Manifest
from alerts.detections.writes import (
    BINDINGS,
    by_itself,
    change,
    changed,
    kind_of,
    named,
    states,
)

NAME = "binding_changed"
TECHNIQUES = ("T1098.006",)


def examine(event: Event, known: Known) -> Iterator[Finding]:
    """Yield a finding where a binding got new subjects. A default binding is the finding of another detection."""
    kind = kind_of(event)
    if kind not in BINDINGS or not changed(event) or by_itself(event, kind, event.name):
        return
    before, after = states(event, kind, known)
    if default_role_tampered.tampered(event, kind, before, after):
        return
    ending = _ending(kind, before, after)
    if ending:
        title = f"{named(kind, event.namespace, event.name)} changed{ending}"
        yield change(event, kind, NAME, after, title)


def _ending(kind: str, before: Manifest | None, after: Manifest | None) -> str:
    """Return how the title goes on, "" where nobody new holds its role."""
    now = binding_of(kind, after)
    if now is None:
        return ", and who holds it now was not recorded"
    then = binding_of(kind, before)
    if then is None:
        return f": {now.role.name} for {people(now.subjects)}, and who had it before is unknown"
    new = tuple(subject for subject in now.subjects if subject not in then.subjects)
    return f": {now.role.name} for {people(new)} too" if new else ""
