"""What an alert is about in words: the part of its story between who did it and what came of it."""

from alerts import rbac
from alerts.audit.event import DELETIONS
from alerts.detections import many_attempts
from alerts.services.attempts import OF_THEIR_OWN
from alerts.services.investigation.acts import Parts
from alerts.services.investigation.case import Case
from alerts.services.investigation.permissions import Permissions

_CREATED = frozenset({"cluster_role_created", "role_created"})
_BINDINGS = frozenset({"binding_created", "binding_changed"})


def deed(case: Case, permissions: Permissions) -> Parts:
    """Return what was done or tried, and what that permits."""
    if case.alert.detection == many_attempts.NAME:
        return [["", "tried "], ["strong", f"more than {OF_THEIR_OWN} different things"], ["", " on one day"]]
    lead = _lead(case)
    if permissions.rules is None:
        return [*lead, ["", f" ({_unrecorded(case)})"]]
    if case.alert.detection in _CREATED:
        return [*lead, *([] if lead[-1][0] else [["", " "]]), *_power(permissions, "that ")]
    return [*lead, ["", ", which "], *_power(permissions, "")]


def refusal(case: Case) -> Parts:
    """Return why the API server refused it, or that nobody knows whether it did."""
    row = case.opening
    if case.alert.detection == many_attempts.NAME:
        return [["", ", and the API server refused all of them. The first have alerts of their own."]]
    if row is None:
        return [["", ", and whether that succeeded is unknown."]]
    return [["", ", and the API server refused it: "], ["", f"{_why(case)}."]]


def _why(case: Case) -> str:
    row = case.opening
    about = case.alert.detection
    if about == "powerful_impersonation":
        return "it may not impersonate that identity"
    if about == "token_issued":
        return "it may not have tokens made"
    if row is not None and row.decision == "allow":
        return "it does not hold what the role would permit"
    return f"it may not create {'bindings' if 'binding' in (row.resource if row else '') else 'roles'}"


def _unrecorded(case: Case) -> str:
    about = case.alert.object
    if case.identity is not None or case.alert.detection in {"certificate_approved", "token_issued"}:
        return "what that permits is unknown"
    if about is not None and case.alert.detection in _BINDINGS:
        return "whom and what it binds was not recorded" if case.ref is None else "what its role permits is unknown"
    return "its rules were not recorded" if about else "neither its name nor its rules were recorded"


def _lead(case: Case) -> Parts:
    """Return what was done, without what it permits."""
    tried, about = case.alert.attempted, case.alert.detection
    if about in _CREATED:
        return [["", f"{'tried to create' if tried else 'created'} a role"], *_where(case)]
    if about in _BINDINGS:
        return _bound(case)
    if case.alert.object is None:
        return _taken(case)
    named: Parts = [["code", _name(case)]]
    if about == "escalation_refused":
        return [["", f"tried to write the {'binding' if 'Binding' in case.alert.object.kind else 'role'} "], *named]
    verbs = {
        "role_widened": "changed the role ",
        "role_aggregated": "had other roles take in ",
        "role_deleted": "deleted ",
    }
    if about == "default_role_tampered":
        gone = case.opening is not None and case.opening.verb in DELETIONS
        return [["", "deleted " if gone else "changed "], *named, ["", ", a default of Kubernetes"]]
    return [["", verbs.get(about, "wrote ")], *named]


def _bound(case: Case) -> Parts:
    """Return who was bound to what, as far as that is known."""
    tried, binding = case.alert.attempted, case.binding
    if binding is None:
        changed = "tried to write" if tried else "changed" if case.alert.detection == "binding_changed" else "created"
        return [["", f"{changed} a binding"], *_where(case)]
    subjects = list(binding.subjects)
    parts: Parts = [["", "tried to bind " if tried else "bound "], ["code", binding.role.name], ["", " to "]]
    if not subjects:
        return [*parts, ["", "nobody"], *_where(case)]
    first = min(subjects, key=lambda one: (not one.public, not one.everybody))
    parts += [["strong", "anybody without log-in"]] if first.public else subject(first)
    more = len(subjects) - 1
    return [*parts, *([["", f" and {more} more"]] if more else []), *_where(case)]


def _taken(case: Case) -> Parts:
    """Return whose power was taken or handed out, and how."""
    tried, identity = case.alert.attempted, case.identity
    who = _identity(identity.subject, identity.groups) if identity else [["", "somebody"]]
    if case.alert.detection == "token_issued":
        return [["", "tried to get a token of " if tried else "had a token made for "], *who]
    if case.alert.detection == "certificate_approved":
        return [["", "approved a certificate for "], *who]
    if case.alert.detection == "powerful_impersonation":
        return [["", "tried to act as " if tried else "acted as "], *who]
    return [["", f"{'tried to write' if tried else 'wrote'} a role or binding"]]


def _identity(one: rbac.Subject, groups: tuple[str, ...]) -> Parts:
    shown = [group for group in groups if not group.startswith("system:auth") and ":serviceaccounts" not in group][:3]
    return [*subject(one), *([["", " in "], ["code", ", ".join(shown)]] if shown else [])]


def subject(one: rbac.Subject) -> Parts:
    """Return a subject in words: `the service account kube-system/scraper`."""
    if one.kind == "ServiceAccount":
        return [["", "the service account "], ["code", f"{one.namespace}/{one.name}"]]
    return [["", f"the {one.kind.lower()} "], ["code", one.name]]


def _name(case: Case) -> str:
    about = case.alert.object
    if about is None:
        return "unnamed"
    return f"{about.namespace}/{about.name}" if about.namespace else about.name


def _where(case: Case) -> Parts:
    about = case.alert.object
    return [["", " in "], ["code", about.namespace]] if about and about.namespace else []


def _power(permissions: Permissions, link: str) -> Parts:
    """Return what the rules permit at worst, as the end of a sentence."""
    if not permissions.rules:
        return [["", f"{link}permits "], ["strong", "nothing"]]
    capabilities = permissions.capabilities
    if not capabilities:
        return [["", f"{link}permits nothing on the list of dangerous capabilities"]]
    worst = capabilities[0]
    if worst.id == "everything":
        return [["", f"{link}permits "], ["strong", "everything"]]
    # The titles of these two begin with no verb.
    verb = "permits" if worst.id in {"every-verb", "every-resource"} else "lets its holders"
    parts: Parts = [["", f"{link}{verb} "], ["strong", worst.title[:1].lower() + worst.title[1:]]]
    more = len(capabilities) - 1
    return [*parts, ["", f" and {more} more dangerous thing{'' if more == 1 else 's'}"]] if more else parts
