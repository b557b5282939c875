"""A role or binding that Kubernetes ships was changed or deleted, by itself or among many.

The API server adds what is missing at its next start and never takes away what somebody added, so such a change stays
(EnsureRBACPolicy; `RemoveExtraPermissions` is false there). ATT&CK: T1098.006, Additional Container Cluster Roles.
"""

from collections.abc import Iterator
from dataclasses import replace

from alerts import rbac
from alerts.audit.event import Event
from alerts.detections.deletion import deletions
from alerts.detections.detection import Finding, Known, Manifest
from alerts.detections.writes import (
    ROLES,
    about,
    by_itself,
    change,
    changed,
    echoes,
    is_default,
    kind_of,
    named,
    opted_out,
    request_of,
    states,
    uid_of,
)  # fmt: skip

NAME = "default_role_tampered"
TECHNIQUES = ("T1098.006",)


def examine(event: Event, known: Known) -> Iterator[Finding]:
    """Yield a finding where a default role or binding was changed in what it grants, or deleted."""
    kind = kind_of(event)
    if not kind:
        return
    yield from _deleted(event, kind, known)
    if event.verb not in {"update", "patch"}:
        return
    before, after = states(event, kind, known)
    if how := tampered(event, kind, before, after):
        title = f"Default {named(kind, event.namespace, event.name)} {how}"
        yield change(event, kind, NAME, after, title)


def _deleted(event: Event, kind: str, known: Known) -> Iterator[Finding]:
    for gone in deletions(event, kind, known):
        if is_default(kind, gone.name, gone.before):
            cause = ["deleted", *request_of(event)]
            if event.verb == "deletecollection":
                cause += [gone.namespace, gone.name]
            title = f"Default {named(kind, gone.namespace, gone.name)} deleted"
            finding = about(event, kind, NAME, cause, title, uid=gone.uid or uid_of(gone.before))
            yield replace(finding, namespace=gone.namespace, name=gone.name)
        elif not gone.name and kind == "ClusterRoleBinding":
            # Bindings of one's own that are gone are nothing, and nobody can tell that it was only those.
            yield about(event, kind, NAME, ["all", *request_of(event)], f"{kind}s deleted, all at once")


def tampered(event: Event, kind: str, before: Manifest | None, after: Manifest | None) -> str:
    """Return how a default role or binding was changed, "" where it was not, or is none."""
    if not changed(event) or not is_default(kind, event.name, before, after):
        return ""
    if echoes(event, before) or by_itself(event, kind, event.name):
        return ""
    if after is None:
        return "changed, and how was not recorded"
    if opted_out(after) and not opted_out(before):
        return "exempted from being restored"
    return _rules_changed(event, before, after) if kind in ROLES else _subjects_changed(before, after)


def _rules_changed(event: Event, before: Manifest | None, after: Manifest) -> str:
    if before is None:
        shipped = rbac.default_roles().get(event.name)
        same = shipped is not None and _verdict(shipped.rules, after) in {
            rbac.Verdict.EQUIVALENT,
            rbac.Verdict.NARROWED,
        }
        return "" if same else "changed"
    if after.get("aggregationRule") != before.get("aggregationRule"):
        return "changed: it takes in other roles than before"
    verdict = _verdict(before.get("rules"), after)
    if verdict == rbac.Verdict.EQUIVALENT:
        return ""
    return "narrowed" if verdict == rbac.Verdict.NARROWED else "widened"


def _verdict(before: rbac.Rules, after: Manifest) -> rbac.Verdict:
    try:
        return rbac.compare(before, after.get("rules")).verdict
    except rbac.InvalidRules:
        return rbac.Verdict.UNKNOWN


def _subjects_changed(before: Manifest | None, after: Manifest) -> str:
    if before is not None and before.get("subjects") == after.get("subjects"):
        return ""
    return "changed: other subjects than before" if before is not None else "changed"
