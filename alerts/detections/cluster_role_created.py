"""A ClusterRole was created, in any of the ways Kubernetes can make one, or somebody tried to and was refused.

Created it is by POST, by server-side apply of a new name (verb patch, code 201; `kubectl apply --server-side`, Argo CD,
Flux), and by PUT of a new name, since ClusterRoles allow creation on update (AllowCreateOnUpdate in
pkg/registry/rbac/clusterrole/strategy.go). ATT&CK: T1098.006, Additional Container Cluster Roles.
"""

import ipaddress
import json
from collections.abc import Iterator

from alerts.audit.event import FINAL_STAGES, RBAC_GROUP, Event, metadata_of
from alerts.detections.detection import Finding

NAME = "cluster_role_created"
# What withAuthorization answers (pkg/endpoints/handlers/update.go of k8s.io/apiserver) where an apply or a PUT would
# have created the role. Names in the message are quoted (%q), so they cannot bring these words about.
_MAY_NOT_CREATE = ' cannot create resource "clusterroles" in API group "rbac.authorization.k8s.io"'
_USER_FACING_DEFAULTS = frozenset({"cluster-admin", "admin", "edit", "view"})


def examine(event: Event) -> Iterator[Finding]:
    """Yield a finding where the event is the creation of a ClusterRole, or an attempt at it; a rehearsal is neither."""
    if (
        event.resource != "clusterroles"
        or event.group != RBAC_GROUP
        or event.subresource
        or event.stage not in FINAL_STAGES
        or event.dry_run
    ):
        return
    if _created(event):
        if not _is_bootstrap(event):
            yield _creation(event)
    elif _attempted(event):
        yield _attempt(event)


def _created(event: Event) -> bool:
    if event.verb == "create":
        return event.succeeded is True
    return event.verb in {"patch", "update"} and event.code == 201


def _attempted(event: Event) -> bool:
    """Tell whether it was refused, or ended in a way that leaves open whether the role was made."""
    if event.verb == "create":
        # Neither invalid (422, 400) nor there already (409): the former is no role, the latter no creation.
        return event.succeeded is None or event.code == 403 or (event.code or 0) >= 500
    message = event.response_status.message if event.response_status else ""
    return event.verb in {"patch", "update"} and event.code == 403 and _MAY_NOT_CREATE in message


def _is_bootstrap(event: Event) -> bool:
    """Tell whether the API server itself makes a default role, as it does on every start where one is missing.

    Its own requests come over loopback, which is the last source address and cannot be forged, and impersonate nobody.
    """
    last = event.source_ips[-1] if event.source_ips else ""
    return (
        event.actor == "system:apiserver"
        and event.impersonated_user is None
        and _is_loopback(last)
        and (event.name.startswith("system:") or event.name in _USER_FACING_DEFAULTS)
    )


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _creation(event: Event) -> Finding:
    metadata = metadata_of(event.response)
    uid = metadata.get("uid")
    uid = uid if isinstance(uid, str) else ""
    # Without a uid (below level RequestResponse) the request itself is what happened once. Its audit ID alone would not
    # do: clients choose it, and may give many requests the same.
    cause = ["uid", uid] if uid else ["request", event.name, *_request(event)]
    title = f"ClusterRole {event.name} created" if event.name else "An unnamed ClusterRole created"
    return _finding(event, cause, title, uid=uid)


def _attempt(event: Event) -> Finding:
    name = event.name
    # A controller that is refused tries again and again: its attempts of a day are one.
    when = f"{event.at:%Y-%m-%d}" if event.at else "at some time"
    cause = ["attempt", event.actor, name, when]
    title = f"Attempt to create ClusterRole {name}" if name else "Attempt to create an unnamed ClusterRole"
    return _finding(event, cause, title, attempted=True)


def _request(event: Event) -> list[str]:
    return [event.audit_id, event.at.isoformat() if event.at else event.sha256, event.verb, event.request_uri or ""]


def _finding(event: Event, cause: list[str], title: str, *, uid: str = "", attempted: bool = False) -> Finding:
    return Finding(
        detection=NAME,
        cause=json.dumps(cause),
        title=title,
        event=event,
        kind="ClusterRole",
        namespace="",
        name=event.name,
        uid=uid,
        attempted=attempted,
    )
