"""A role that was there permits more than before, or nobody can tell whether it does.

By PUT, JSON patch, merge patch, strategic merge patch or apply: what counts is what the role permitted before and what
it permits after, compared exactly. A change that was logged without the role (level Metadata, or a patch at level
Request, or an event that was cut) is found too, for what is unknown is not unchanged.
ATT&CK: T1098.006, Additional Container Cluster Roles.
"""

from collections.abc import Iterator

from alerts import rbac
from alerts.audit.event import Event
from alerts.detections import default_role_tampered
from alerts.detections.detection import Finding, Known, Manifest
from alerts.detections.writes import (
    ROLES,
    by_itself,
    change,
    changed,
    echoes,
    kind_of,
    named,
    states,
)

NAME = "role_widened"
TECHNIQUES = ("T1098.006",)


def examine(event: Event, known: Known) -> Iterator[Finding]:
    """Yield a finding where a Role or ClusterRole was widened. A default role is the finding of another detection."""
    kind = kind_of(event)
    if kind not in ROLES or not changed(event) or by_itself(event, kind, event.name):
        return
    before, after = states(event, kind, known)
    if echoes(event, before) or default_role_tampered.tampered(event, kind, before, after):
        return
    ending = _ending(before, after)
    if ending:
        title = f"{named(kind, event.namespace, event.name)} {ending}"
        yield change(event, kind, NAME, after, title)


def _ending(before: Manifest | None, after: Manifest | None) -> str:
    """Return how the title goes on, "" where it was not widened."""
    if after is None:
        return "changed, and its new rules were not recorded"
    if before is None:
        return "changed, and what it permitted before is unknown"
    return "widened" if widens(before, after) else ""


def widens(before: Manifest, after: Manifest) -> bool:
    """Tell whether a role permits more than it did, or takes in the rules of other roles that it did not before."""
    if after.get("aggregationRule") and after.get("aggregationRule") != before.get("aggregationRule"):
        return True
    try:
        verdict = rbac.compare(before.get("rules"), after.get("rules")).verdict
    except rbac.InvalidRules:
        return True
    return verdict in {rbac.Verdict.NEW_ACCESS, rbac.Verdict.MIXED, rbac.Verdict.UNKNOWN}
