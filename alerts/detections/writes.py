"""Writes of roles and bindings, understood alike by every detection: what was made, changed or deleted, and by whom."""

import ipaddress
import json
from collections.abc import Mapping
from typing import Any

from alerts import rbac
from alerts.audit.event import DELETIONS, FINAL_STAGES, RBAC_GROUP, Event, metadata_of, objects_in
from alerts.audit.remembered import remembered
from alerts.detections.detection import Finding, Known, Manifest

KINDS = {
    "clusterroles": "ClusterRole",
    "roles": "Role",
    "clusterrolebindings": "ClusterRoleBinding",
    "rolebindings": "RoleBinding",
}
ROLES, BINDINGS = frozenset({"ClusterRole", "Role"}), frozenset({"ClusterRoleBinding", "RoleBinding"})
AGGREGATION_CONTROLLER = "system:serviceaccount:kube-system:clusterrole-aggregation-controller"
CONTROLLER_MANAGER = "system:kube-controller-manager"
# Those that the API server makes at its start and that are not named system: (rbac/bootstrappolicy).
_SHIPPED = {
    "ClusterRole": frozenset({"cluster-admin", "admin", "edit", "view"}),
    "Role": frozenset({"extension-apiserver-authentication-reader"}),
    "ClusterRoleBinding": frozenset({"cluster-admin"}),
}
_OPTED_OUT = "rbac.authorization.kubernetes.io/autoupdate"


def kind_of(event: Event) -> str:
    """Return the kind of role or binding that a finished request is about, "" for others and for a rehearsal."""
    if event.group != RBAC_GROUP or event.subresource or event.stage not in FINAL_STAGES or event.dry_run:
        return ""
    return KINDS.get(event.resource, "")


def created(event: Event) -> bool:
    """Tell whether it made an object.

    By POST, by server-side apply of a new name (verb patch, code 201; `kubectl apply --server-side`, Argo CD, Flux), or
    by PUT of a new name, since all four kinds allow creation on update (AllowCreateOnUpdate in the strategy.go of
    pkg/registry/rbac).
    """
    if event.verb == "create":
        return event.succeeded is True
    return event.verb in {"patch", "update"} and event.code == 201


def changed(event: Event) -> bool:
    """Tell whether it changed an object that was there, or may have."""
    return event.verb in {"patch", "update"} and event.succeeded is not False and event.code != 201


def manifest_of(event: Event, kind: str) -> Manifest | None:
    """Return the object as the request left it, None where that was not recorded.

    Of a create, a PUT and the apply of a new name the request is the whole object; of any other patch only the answer
    is. Whoever asked for an answer without the object gets its metadata, and so do we.
    """
    # A table may hold the object (includeObject=Object).
    answer = next(iter(objects_in(event.response) or ()), None) if event.abridged else event.response
    if isinstance(answer, dict) and answer.get("kind") == kind:
        return answer
    sent = event.request if event.verb in {"create", "update"} or created(event) else None
    if not isinstance(sent, dict) or sent.get("kind") != kind:
        return None
    return {**sent, "metadata": event.answered or {"name": event.name}} if event.abridged else sent


def states(event: Event, kind: str, known: Known) -> tuple[Manifest | None, Manifest | None]:
    """Return the object before a request and as that left it, None for what is unknown.

    A patch of nothing but metadata, as controllers send, leaves the rest as it was.
    """
    after = manifest_of(event, kind)
    before = known.before(event, kind, after or ({"metadata": event.answered} if event.abridged else None))
    if after is None and before is not None and is_of_metadata(event) and uid_of(before) == event.answered.get("uid"):
        after = {**before, "metadata": event.answered}
    return before, after


def is_of_metadata(event: Event) -> bool:
    """Tell whether an abridged patch holds metadata only. An apply, which says its kind too, takes away the rest."""
    return event.abridged and isinstance(event.request, dict) and event.request.keys() == {"metadata"}


def collection(event: Event) -> list[tuple[str, str]] | None:
    """Return the namespace and name of each object that a deletecollection deleted, None where it does not say which.

    The answer lists them, at level RequestResponse. One that was refused deleted none, and nor did any other request.
    """
    if event.verb != "deletecollection" or event.succeeded is False:
        return []
    items = objects_in(event.response)
    if items is None:
        return None
    told = [_texts(metadata_of(item)) for item in items]
    names = [(metadata.get("namespace") or event.namespace, metadata.get("name", "")) for metadata in told]
    return names if all(name for _, name in names) else None


def unnamed(event: Event) -> bool:
    """Tell whether a write made or deleted objects that the log does not name: their names were in the answer only."""
    made = event.verb == "create" and not event.name and event.succeeded is not False
    return made or collection(event) is None


def by_itself(event: Event, kind: str, name: str) -> bool:
    """Tell whether the API server itself makes or mends what it ships, as it does on every start.

    Its own requests come over loopback and impersonate nobody.
    """
    return (
        event.actor == "system:apiserver"
        and event.impersonated_user is None
        and from_loopback(event)
        and (name.startswith("system:") or name in _SHIPPED.get(kind, ()))
    )


def from_loopback(event: Event) -> bool:
    """Tell whether a request came from the API server's own host: by the last address, which nobody can forge."""
    return _is_loopback(event.source_ips[-1]) if event.source_ips else False


@remembered(entries=1024, longest=64)
def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def echoes(event: Event, before: Manifest | None) -> bool:
    """Tell whether it is the aggregation controller that fills an aggregated role: an effect of another write.

    Only what still has the aggregationRule and the labels it had before is filled, and by a request that holds nothing
    but rules. Whoever took the controller's account and writes anything else with it makes no echo.
    """
    if event.impersonated_user is not None or event.resource != "clusterroles" or event.group != RBAC_GROUP:
        return False
    if event.actor not in {AGGREGATION_CONTROLLER, CONTROLLER_MANAGER} or not changed(event):
        return False
    sent, answer = event.request, event.response
    if sent is not None and not _fills(sent):
        return False
    if not isinstance(answer, dict) or answer.get("kind") != "ClusterRole":
        return True
    same = before is None or _aggregates(before) == _aggregates(answer)
    return same and bool(answer.get("aggregationRule"))


def _fills(sent: Any) -> bool:
    """Tell whether a request is what the controller sends, its rules aside: a name, and the rules to apply to it.

    It applies them server-side (applyClusterRoles in pkg/controller/clusterroleaggregation).
    """
    if not isinstance(sent, dict) or not sent.keys() <= {"kind", "apiVersion", "metadata", "rules"}:
        return False
    metadata = sent.get("metadata")
    return isinstance(metadata, dict) and metadata.keys() <= {"name"}


def _aggregates(manifest: Manifest) -> tuple[Any, Mapping[str, str]]:
    return manifest.get("aggregationRule"), labels_of(manifest)


def is_default(kind: str, name: str, *manifests: Manifest | None) -> bool:
    """Tell whether Kubernetes ships an object of this name, or one of its versions carries the mark of those."""
    if name in _SHIPPED.get(kind, ()) or (kind == "ClusterRole" and name in rbac.default_roles()):
        return True
    return any(labels_of(each).get("kubernetes.io/bootstrapping") == "rbac-defaults" for each in manifests)


def labels_of(manifest: Manifest | None) -> Mapping[str, str]:
    """Return an object's labels; none where they are unknown or no labels."""
    return _texts(metadata_of(manifest).get("labels"))


def opted_out(manifest: Manifest | None) -> bool:
    """Tell whether the API server is told not to put the object back as it ships it."""
    return _texts(metadata_of(manifest).get("annotations")).get(_OPTED_OUT) == "false"


def _texts(found: Any) -> Mapping[str, str]:
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if isinstance(key, str) and isinstance(value, str)}


def uid_of(manifest: Manifest | None) -> str:
    """Return an object's uid, "" where it is unknown."""
    uid = metadata_of(manifest).get("uid")
    return uid if isinstance(uid, str) else ""


def version_of(manifest: Manifest | None) -> str:
    """Return an object's resourceVersion, "" where it is unknown."""
    version = metadata_of(manifest).get("resourceVersion")
    return version if isinstance(version, str) else ""


def named(kind: str, namespace: str, name: str) -> str:
    """Return an object in words: `Role web/reader`, or `an unnamed Role`."""
    if not name:
        return f"an unnamed {kind}"
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def day_of(event: Event) -> str:
    """Return the day of an event: a controller that does or is refused something tries again and again that day."""
    return f"{event.at:%Y-%m-%d}" if event.at else "at some time"


def request_of(event: Event) -> list[str]:
    """Return what makes a request that one. Its audit ID alone would not do: clients choose it, and may repeat it."""
    return [event.audit_id, event.at.isoformat() if event.at else event.sha256, event.verb, event.request_uri or ""]


def about(
    event: Event,
    kind: str,
    detection: str,
    cause: list[str],
    title: str,
    *,
    uid: str = "",
    attempted: bool = False,
    repetitive: bool = False,
    recurring: bool = False,
) -> Finding:
    """Return a finding about the object that the event is about.

    What an actor may have done to an object on a day, and nobody knows, is one: clients try again where an API server
    answers that it failed.
    """
    if event.succeeded is None:
        deed = "deleted" if event.verb in DELETIONS else "written"
        cause = ["uncertain", deed, kind, event.namespace, event.name, event.actor, day_of(event)]
        # What was sent may name any uid.
        uid, recurring = "", True
    return Finding(
        detection=detection,
        cause=json.dumps(cause),
        title=title[:1].upper() + title[1:] + doubt(event),
        event=event,
        kind=kind,
        namespace=event.namespace,
        name=event.name,
        uid=uid,
        attempted=attempted,
        repetitive=repetitive,
        recurring=recurring,
    )


def change(event: Event, kind: str, detection: str, after: Manifest | None, title: str) -> Finding:
    """Return a finding about a change that left the object as `after`.

    It is the version that it made. Where that was not recorded an actor's changes of a day are one, and each of them
    may be another than the one that somebody looked into.
    """
    uid, version = uid_of(after), version_of(after)
    exact = bool(uid and version)
    unrecorded = ["unrecorded", kind, event.namespace, event.name, event.actor, day_of(event)]
    cause = ["version", uid, version] if exact else unrecorded
    return about(event, kind, detection, cause, title, uid=uid, recurring=not exact)


def doubt(event: Event) -> str:
    """Return how a title ends where the log does not tell whether it was done, or a deletion from its rehearsal."""
    if event.succeeded is None:
        answered = f"the API server answered {event.code}" if event.code is not None else "the log does not tell"
        return f", if that was carried out: {answered}"
    if event.verb in DELETIONS and event.dry_run is None:
        return ", or rehearsed: the log does not tell"
    return ""
