"""Somebody wrote a role or binding that would have given more than they hold, and the API server refused it.

The authorizer allowed such a request, so its decision says "allow"; the registry refuses it with 403
(ConfirmNoEscalation in pkg/registry/rbac/validation/rule.go). By POST, PUT or any patch, server-side apply included.
ATT&CK: T1098.006, Additional Container Cluster Roles.
"""

from collections.abc import Iterator

from alerts.audit.event import Event
from alerts.detections.detection import Finding, Known
from alerts.detections.writes import about, day_of, kind_of, named

NAME = "escalation_refused"
TECHNIQUES = ("T1098.006",)
# Names in these messages are quoted (%q), so they cannot bring the words about.
_REFUSALS = (
    " is attempting to grant RBAC permissions not currently held",
    " must have cluster-admin privileges to use the aggregationRule",
    " must have cluster-admin privileges to use an aggregationRule",
)


def refused(event: Event) -> bool:
    """Tell whether the escalation check refused a request."""
    if event.code != 403 or event.verb not in {"create", "update", "patch"} or event.decision == "forbid":
        return False
    message = event.response_status.message if event.response_status else ""
    return any(words in message for words in _REFUSALS)


def examine(event: Event, _known: Known) -> Iterator[Finding]:
    """Yield a finding where the escalation check refused a role or binding. Attempts of an actor and day are one."""
    kind = kind_of(event)
    if not kind or not refused(event):
        return
    what = named(kind, event.namespace, event.name)
    deed = "create" if event.verb == "create" else "escalate through"
    cause = ["attempt", event.actor, kind, event.namespace, event.name, day_of(event)]
    yield about(event, kind, NAME, cause, f"Attempt to {deed} {what}", attempted=True)
