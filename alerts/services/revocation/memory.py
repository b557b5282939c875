"""What goes as far as we remember it, where the cluster itself cannot be asked: from audit events and listings."""

from collections.abc import Iterable

from django.db.models import QuerySet

from alerts import rbac
from alerts.models import AccessObject, AccessVersion, Alert
from alerts.services.revocation.targets import BINDING_KINDS, Manifest, Surroundings, referring


def remembered(alert: Alert, *, deleted: bool = False) -> Surroundings:
    """Return the alert's role and the bindings to it as they were last seen, the deleted ones on request."""
    about = alert.object
    if about is None:
        return Surroundings((), None, ())
    own = _manifests([about], deleted=deleted)
    if not own and about.latest() is None:
        own = [_manifest(AccessVersion(object=about, uid=alert.object_uid))]  # the name is all that was logged
    if about.kind in BINDING_KINDS:
        return Surroundings((), None, tuple(own))
    bindings = AccessVersion.objects.filter(
        object__cluster=alert.cluster,
        object__kind__in=BINDING_KINDS,
        manifest__roleRef__kind=about.kind,
        manifest__roleRef__name=about.name,
    )
    manifests = _manifests(AccessObject.objects.filter(pk__in=bindings.values("object")), deleted=deleted)
    return Surroundings((), next(iter(own), None), referring(manifests, about.kind, about.namespace, about.name))


def seen_before(alert: Alert, kind: str, namespace: str, name: str) -> set[str]:
    """Return the uids under which an object of that name was ever seen on the alert's cluster."""
    versions = AccessVersion.objects.filter(object__in=_named(alert, kind, namespace, name))
    return set(versions.exclude(uid="").values_list("uid", flat=True))


def newest(alert: Alert, kind: str, namespace: str, name: str) -> AccessVersion | None:
    """Return the newest version of an object on the alert's cluster, or None if it was never seen."""
    about = _named(alert, kind, namespace, name).first()
    return about.latest() if about else None


def _named(alert: Alert, kind: str, namespace: str, name: str) -> QuerySet[AccessObject]:
    return AccessObject.objects.filter(cluster=alert.cluster, digest=AccessObject.digest_of(kind, namespace, name))


def _manifests(objects: Iterable[AccessObject], *, deleted: bool) -> list[Manifest]:
    """Return each object as it was last seen; of a deleted one the last before, if those are wanted."""
    found = (_last(each, deleted=deleted) for each in objects)
    return [_manifest(version) for version in found if version is not None]


def _last(about: AccessObject, *, deleted: bool) -> AccessVersion | None:
    """Return the version that an object was last seen as, None where it is gone and deleted ones are not wanted.

    Where a later change was logged without the object, its resourceVersion is no longer known.
    """
    unseen = gone = None
    for version in about.versions.select_related("object").order_by("-at", "-pk").iterator(chunk_size=10):
        if version.manifest is not None and not version.deletion:
            version.resource_version = "" if unseen else version.resource_version
            return version
        if not version.deletion:
            unseen = unseen or version
        elif deleted:
            gone = gone or version
        else:
            break
    return unseen or gone


def _manifest(version: AccessVersion) -> Manifest:
    about = version.object
    known = version.manifest if version.manifest and _is_sound(about.kind, version.manifest) else {}
    identity = {"name": about.name, "uid": version.uid, "resourceVersion": version.resource_version}
    if about.namespace:
        identity["namespace"] = about.namespace
    metadata = (known.get("metadata") or {}) | identity
    return known | {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": about.kind, "metadata": metadata}


def _is_sound(kind: str, manifest: Manifest) -> bool:
    """Tell whether what an event says of the object could be one: of anything else only the name is remembered."""
    reader = rbac.Binding if kind in BINDING_KINDS else rbac.Role
    try:
        reader.of_manifest(manifest)
    except rbac.InvalidRules:
        return False
    return True
