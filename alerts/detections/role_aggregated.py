"""A ClusterRole was labelled so that its rules end up in another one: in admin, edit or view above all.

The label and not the rules is what is dangerous: everybody bound to the aggregated role holds them within a second.
ATT&CK: T1098.006, Additional Container Cluster Roles.
"""

from collections.abc import Iterator, Mapping

from alerts import rbac
from alerts.audit.event import Event
from alerts.detections import default_role_tampered
from alerts.detections.detection import Finding, Known
from alerts.detections.role_widened import widens
from alerts.detections.writes import (
    by_itself,
    change,
    changed,
    echoes,
    kind_of,
    labels_of,
    named,
    states,
)

NAME = "role_aggregated"
TECHNIQUES = ("T1098.006",)
_PREFIX = "rbac.authorization.k8s.io/aggregate-to-"
_SHOWN = 3


def examine(event: Event, known: Known) -> Iterator[Finding]:
    """Yield a finding where labels made a ClusterRole feed others. One that was widened too is found as that."""
    if kind_of(event) != "ClusterRole" or not changed(event):
        return
    before, after = states(event, "ClusterRole", known)
    if before is None or after is None or by_itself(event, "ClusterRole", event.name) or widens(before, after):
        return
    if echoes(event, before) or default_role_tampered.tampered(event, "ClusterRole", before, after):
        return
    fed = feeds(event.name, labels_of(before), labels_of(after), known)
    if fed:
        more = f" and {len(fed) - _SHOWN} more" if len(fed) > _SHOWN else ""
        title = f"{named('ClusterRole', '', event.name)} added to {', '.join(fed[:_SHOWN])}{more}"
        yield change(event, "ClusterRole", NAME, after, title)


def feeds(name: str, before: Mapping[str, str], after: Mapping[str, str], known: Known) -> list[str]:
    """Return the names of the roles that new labels make a role feed, sorted.

    Those of the usual labels count even where the aggregated role was never seen.
    """
    if before == after:
        return []
    ref, access = rbac.RoleRef("ClusterRole", name), known.access()
    targets = {role.name for role in access.aggregates(ref, after).keys() - access.aggregates(ref, before).keys()}
    usual = {key for key, value in after.items() if key.startswith(_PREFIX) and value == "true"}
    targets |= {key.removeprefix(_PREFIX) for key in usual if before.get(key) != "true"}
    return sorted(targets - {name})
