"""The roles and bindings of a cluster, version by version, as its events tell; `listing` adds what its API lists.

Events come in any order, and the same version may come by both ways: whatever the order, the same versions remain. An
event says exactly when and by whom, so it takes the place of a listing that saw the same version.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from alerts import rbac
from alerts.audit import redaction
from alerts.audit.event import Event, metadata_of, objects_in
from alerts.audit.remembered import remembered
from alerts.audit.visible import storable
from alerts.detections.writes import is_of_metadata, manifest_of
from alerts.models import AccessObject, AccessVersion, AuditEvent, Cluster
from alerts.models.access import Name
from alerts.services.holding import Holding

KINDS = {
    "clusterroles": AccessObject.Kind.CLUSTER_ROLE,
    "roles": AccessObject.Kind.ROLE,
    "clusterrolebindings": AccessObject.Kind.CLUSTER_ROLE_BINDING,
    "rolebindings": AccessObject.Kind.ROLE_BINDING,
}
_LISTING, _EVENT = AccessVersion.Source.LISTING, AccessVersion.Source.EVENT
# Uids and resource versions are the server's, and short; the columns hold this much.
LONGEST_IDENTITY = 64

type Manifest = dict[str, Any]


def hold(cluster: Cluster, events: Iterable[Event]) -> Holding:
    """Hold what these events changed: until the transaction is over nobody else records any of it."""
    changed: dict[Name, set[str]] = {}
    for event in events:
        for name, manifest in _changed(event).items():
            changed.setdefault(name, set()).add(identity(metadata_of(manifest), "resourceVersion"))
    return Holding(cluster, changed)


def record(held: Holding, event: Event, row: AuditEvent) -> AccessVersion | None:
    """Write down what an event says became of a role or binding, and return that version, stored or held to be.

    None where it changed nothing: another kind of object, a refusal, a rehearsal, or a deletion of many objects that
    does not say which. Where nobody knows whether it was carried out, the version is one of which nothing is known.
    Belongs into the transaction that records the event and holds what it changed.
    """
    version = None
    for name, manifest in _changed(event).items():
        named = held[name]
        if event.succeeded is None:
            version = _unknown(held, named, row)
        elif event.verb == "deletecollection":
            version = _deleted(held, named, manifest, row)
        elif event.verb == "delete":
            version = _deletion(held, named, event, row)
        else:
            version = _change(held, named, event, row)
        held.note(version)
        settle(named, held.newest(named))
    return version


def _changed(event: Event) -> dict[Name, Any]:
    """Return the roles or bindings that an event changed, or may have, each as the answer has it or as None."""
    kind = KINDS.get(event.resource)
    if kind is None or not event.writes_rbac or event.succeeded is False or event.dry_run:
        return {}
    if event.verb == "deletecollection":
        # The items of a list leave out their kind.
        return {name_of(kind, metadata_of(manifest)): {"kind": kind} | manifest for manifest in _collection(event)}
    name = (kind, storable(event.namespace), storable(event.name))
    return {name: {"metadata": event.answered}} if event.name else {}


def _collection(event: Event) -> list[Manifest]:
    """Return the objects that a deletecollection says it deleted."""
    items = objects_in(event.response) if event.dry_run is False else None
    return [manifest for manifest in items or () if metadata_of(manifest).get("name")]


def name_of(kind: str, metadata: Manifest) -> Name:
    """Return the name of an object by its metadata, as the database holds it."""
    namespace, name = (storable(str(metadata.get(key) or "")) for key in ("namespace", "name"))
    return kind, namespace, name


def _deleted(held: Holding, named: AccessObject, manifest: Manifest, row: AuditEvent) -> AccessVersion:
    metadata = metadata_of(manifest)
    if not (metadata.get("deletionTimestamp") and metadata.get("finalizers")):
        return _gone(held, named, identity(metadata, "uid"), row)
    return _seen(held, named, manifest, row) if _is(named.kind, manifest) else _unknown(held, named, row)


def _deletion(held: Holding, named: AccessObject, event: Event, row: AuditEvent) -> AccessVersion:
    answer = event.response
    if metadata_of(answer).get("deletionTimestamp") and _is(named.kind, answer):
        # Finalizers keep it, and what it grants, alive.
        return _seen(held, named, answer, row)
    if isinstance(answer, dict) and event.dry_run is False and not event.abridged:
        details = answer.get("details")
        uid = identity(details if isinstance(details, dict) else metadata_of(answer), "uid")
        return _gone(held, named, uid, row)
    # Below level RequestResponse nobody can tell a rehearsal, or an object that finalizers keep, from a deletion. Nor
    # does anybody know what is kept where the client asked for no more than its metadata.
    return _unknown(held, named, row)


def _change(held: Holding, named: AccessObject, event: Event, row: AuditEvent) -> AccessVersion:
    if event.answered.get("deletionTimestamp") and not event.answered.get("finalizers"):
        # It took away the last finalizer that kept it (deleteWithoutFinalizers in pkg/registry/generic/registry).
        return _gone(held, named, identity(event.answered, "uid"), row)
    left = manifest_of(event, named.kind) or _relabelled(held.newest(named), event)
    if left is not None and (_is(named.kind, event.response) or event.abridged):
        return _seen(held, named, left, row)
    # Sent, and not yet what defaults and admission made of it.
    return _unknown(held, named, row, manifest=recorded(left) if left else None)


def _relabelled(newest: AccessVersion | None, event: Event) -> Manifest | None:
    """Return the newest version with the metadata that a patch of nothing else left it with; None where it is another.

    That it was the one patched is proven only where the patch names it, as the garbage collector's do: else somebody
    could have a write that went unseen taken for this one.
    """
    if newest is None or newest.manifest is None or not newest.resource_version or not is_of_metadata(event):
        return None
    named = metadata_of(event.request).get("resourceVersion") == newest.resource_version
    same = named and newest.uid == identity(event.answered, "uid")
    return newest.manifest | {"metadata": event.answered} if same else None


def _is(kind: str, manifest: Any) -> bool:
    return isinstance(manifest, dict) and manifest.get("kind") == kind


def _seen(held: Holding, named: AccessObject, manifest: Manifest, row: AuditEvent) -> AccessVersion:
    metadata = metadata_of(manifest)
    uid, resource_version = identity(metadata, "uid"), identity(metadata, "resourceVersion")
    known: dict[str, Any] = {"manifest": recorded(manifest), "source": _EVENT, "event": row, "at": row.ended_at}
    if not resource_version:
        return _unknown(held, named, row, manifest=known["manifest"])
    same = {"uid": uid, "resource_version": resource_version, "deletion": False}
    if not held.may_have(named, uid, resource_version):
        version = AccessVersion(object=named, **same, **known)
        held.place(version, began=row.at)
        return version
    held.store()
    # The same version from an earlier event is one that a later request did not change.
    version = named.versions.get(**same)
    if version.source == _LISTING or row.ended_at < version.at:
        version.source, version.event, version.at = _EVENT, row, row.ended_at
        held.place(version, began=row.at)
        version.save(update_fields=["source", "event", "at"])
    return version


def _gone(held: Holding, named: AccessObject, uid: str, row: AuditEvent) -> AccessVersion:
    held.store()
    listed = named.versions.filter(deletion=True, source=_LISTING, uid=uid).first() if uid else None
    if listed is not None:
        listed.source, listed.event, listed.at = _EVENT, row, row.ended_at
        listed.save(update_fields=["source", "event", "at"])
        held.place(listed, began=row.at)
        return listed
    version, new = named.versions.get_or_create(
        event=row, defaults={"source": _EVENT, "at": row.ended_at, "uid": uid, "deletion": True}
    )
    if new:
        held.place(version, began=row.at)
    return version


def _unknown(held: Holding, named: AccessObject, row: AuditEvent, *, manifest: Manifest | None = None) -> AccessVersion:
    held.store()
    version, _ = named.versions.get_or_create(
        event=row, defaults={"source": _EVENT, "at": row.ended_at, "manifest": manifest}
    )
    return version


def identity(fields: Manifest, key: str) -> str:
    """Return a uid or resourceVersion as its column holds it, "" for none."""
    value = fields.get(key)
    return storable(value)[:LONGEST_IDENTITY] if isinstance(value, str) else ""


def recorded(manifest: Manifest) -> Manifest:
    """Return the manifest as it is recorded: without managedFields, and in a form that a database holds.

    What it grants stays exact, whatever it looks like; in annotations people leave tokens.
    """
    metadata = {key: value for key, value in metadata_of(manifest).items() if key != "managedFields"}
    if "annotations" in metadata:
        metadata["annotations"] = redaction.manifest(metadata["annotations"])
    kept: Manifest = redaction.storable_json(manifest | {"metadata": metadata})
    return kept


def settle(named: AccessObject, newest: AccessVersion | None) -> None:
    """Note on the object whether its newest version is a deletion."""
    deleted_at = newest.at if newest is not None and newest.deletion else None
    if named.deleted_at != deleted_at:
        named.deleted_at = deleted_at
        named.save(update_fields=["deleted_at"])


def access(cluster: Cluster, at: datetime | None = None) -> rbac.Access:
    """Return who may do what on the cluster, now or at a moment, as far as its roles and bindings are known.

    Where only the newest version of an object is unknown, the one before it stands. What no API server would accept is
    left out.
    """
    return _access(_standing(cluster, at))


def before(access: rbac.Access, cluster: Cluster, at: datetime) -> rbac.Access:
    """Return the same with the roles and bindings that events changed at a moment or later as they were before it.

    What only a listing showed since may have been there: it stays.
    """
    since = AccessVersion.objects.filter(object__cluster=cluster, source=_EVENT, at__gte=at)
    changed = AccessObject.objects.filter(pk__in=since.values("object"))
    known = Q(deletion=True) | Q(manifest__isnull=False)
    standing = AccessVersion.newest_of(changed, known & Q(at__lt=at)).filter(deletion=False).order_by("pk")
    names = set(changed.values_list("kind", "namespace", "name"))
    gone = [binding for binding in access.bindings if (binding.kind, binding.namespace, binding.name) in names]
    refs = [ref for ref in access.roles if (ref.kind, ref.namespace, ref.name) in names]
    then = _access(standing)
    return access.without(*gone, *refs).with_(*then.roles.values(), *then.bindings)


def aggregated(cluster: Cluster) -> rbac.Access:
    """Return the aggregated ClusterRoles alone: all that is needed to tell what feeds which of them."""
    roles = _standing(cluster).filter(object__kind=AccessObject.Kind.CLUSTER_ROLE)
    return _access(roles.filter(manifest__aggregationRule__isnull=False))


def _standing(cluster: Cluster, at: datetime | None = None) -> QuerySet[AccessVersion]:
    """Return the versions that say how the objects stand: no gaps, and none that is gone."""
    known = Q(deletion=True) | Q(manifest__isnull=False)
    objects = AccessObject.objects.filter(cluster=cluster)
    newest = AccessVersion.newest_of(objects, known & Q(at__lte=at) if at else known)
    return newest.filter(deletion=False).order_by("pk")


def _access(versions: QuerySet[AccessVersion]) -> rbac.Access:
    texts = versions.annotate(text=Cast("manifest", TextField())).values_list("text", flat=True)
    return _together(tuple(texts))


# What was worked out from a cluster's roles and bindings holds until one of them changes. For each cluster two of these
# are asked for: everything, and the aggregated roles alone.
@lru_cache(maxsize=8)
def _together(texts: tuple[str, ...]) -> rbac.Access:
    found = [each for text in texts for each in _read(text)]
    return rbac.Access(
        [each for each in found if isinstance(each, rbac.Role)],
        [each for each in found if isinstance(each, rbac.Binding)],
    )


# Of a whole cluster one role changes, and then another.
@remembered(entries=16_384, longest=2048)
def _read(text: str) -> tuple[rbac.Role | rbac.Binding, ...]:
    manifest = json.loads(text)
    kind = rbac.Binding if str(manifest.get("kind")).endswith("Binding") else rbac.Role
    try:
        return (kind.of_manifest(manifest),)
    except rbac.InvalidRules:
        return ()
