"""What a cluster's API lists: versions of its roles and bindings that no event told, and objects that are gone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import batched

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from alerts.audit.event import metadata_of
from alerts.cluster.errors import ClusterError
from alerts.cluster.kinds import RBAC_KINDS
from alerts.models import AccessObject, AccessVersion, Cluster
from alerts.models.access import Name
from alerts.services import connection, inventory, reach
from alerts.services.chronology import CLOCKS_DIFFER
from alerts.services.holding import Holding

_LISTING = AccessVersion.Source.LISTING
_NAME = ("object__kind", "object__namespace", "object__name")
# Objects recorded in one transaction: meanwhile nobody else records anything of them, or on SQLite anything at all.
_AT_ONCE = 500
_HOLDS = timedelta(seconds=60)


def listable() -> QuerySet[Cluster]:
    """Return the clusters that Rolecall may list."""
    return Cluster.objects.filter(readable=True).exclude(api_address="")


def never_listed() -> QuerySet[Cluster]:
    """Return the clusters that Rolecall may list and never tried to."""
    return listable().filter(inventory_at=None, inventory_error="")


def renew(cluster: Cluster) -> str:
    """List the live cluster where that was not just done; return why it could not be asked, or ""."""
    if not cluster.api_address or not cluster.readable:
        return ""
    fresh = cluster.inventory_at is not None and timezone.now() - cluster.inventory_at < _HOLDS
    if fresh and not cluster.inventory_error:
        return ""
    return "" if refresh(cluster) else cluster.inventory_error


def refresh(cluster: Cluster) -> bool:
    """List the live cluster, and record what no event told: new versions, and objects that are gone.

    Returns whether the cluster answered; where it did not, Cluster.inventory_error says why.
    """
    started, standing = timezone.now(), _standing(cluster)
    try:
        with connection.connect(cluster) as api:
            listed = [manifest for kind in RBAC_KINDS for manifest in api.list_all(kind)]
    except (connection.NotConnected, ClusterError) as error:
        reach.note(cluster, inventory_error=str(error))
        return False
    seen = {inventory.name_of(manifest["kind"], metadata_of(manifest)): manifest for manifest in listed}
    differing = [name for name in standing.keys() | seen.keys() if not _shows(seen.get(name), standing.get(name))]
    # What was there before anybody looked needs no event to explain it.
    first = Cluster.objects.filter(pk=cluster.pk, inventory_at=None).exists()
    explanation = AccessVersion.Explanation.BASELINE if first else ""
    for names in batched(differing, _AT_ONCE):
        with transaction.atomic():
            _store(_news(cluster, {name: seen.get(name) for name in names}, standing, started), explanation)
    Cluster.objects.filter(pk=cluster.pk).update(inventory_at=started)
    cluster.inventory_at = started
    reach.note(cluster, inventory_error="")
    return True


@dataclass(frozen=True, slots=True)
class _Standing:
    """The newest version of an object, before its cluster is listed."""

    pk: int
    uid: str
    resource_version: str
    deletion: bool


def _standing(cluster: Cluster) -> dict[Name, _Standing]:
    """Return how each object stands that is believed to exist.

    Nothing is held for it: of most objects a listing shows what was known, and nobody has to wait for those.
    """
    versions = AccessVersion.newest_of(AccessObject.objects.filter(cluster=cluster, deleted_at=None))
    returned = versions.filter(source=_LISTING, resource_version="", manifest__isnull=False)
    listed_as = dict(returned.values_list("pk", "manifest__metadata__resourceVersion"))
    found = versions.values_list(*_NAME, "pk", "uid", "resource_version", "deletion")
    return {
        (kind, namespace, name): _Standing(pk, uid, listed_as.get(pk) or resource_version, deletion)
        for kind, namespace, name, pk, uid, resource_version, deletion in found
    }


def _shows(manifest: inventory.Manifest | None, version: _Standing | None) -> bool:
    """Tell whether a listed object is of this very version."""
    if manifest is None or version is None or version.deletion:
        return False
    return _identity(manifest) == (version.uid, version.resource_version)


def _standing_of(version: AccessVersion | None) -> _Standing | None:
    if version is None:
        return None
    resource_version = version.resource_version
    if not resource_version and version.source == _LISTING and version.manifest is not None:
        # It returned to what it was: that version keeps its own row.
        _, resource_version = _identity(version.manifest)
    return _Standing(version.pk, version.uid, resource_version, version.deletion)


def _identity(manifest: inventory.Manifest) -> tuple[str, str]:
    metadata = metadata_of(manifest)
    return inventory.identity(metadata, "uid"), inventory.identity(metadata, "resourceVersion")


def _news(
    cluster: Cluster,
    listed: Mapping[Name, inventory.Manifest | None],
    standing: Mapping[Name, _Standing],
    started: datetime,
) -> list[AccessVersion]:
    """Hold these objects, and return as versions what nobody knew of how they were listed, None for missing."""
    expected = {name: {_identity(manifest)[1]} if manifest else set() for name, manifest in listed.items()}
    held, found = Holding(cluster, expected), []
    for name, manifest in listed.items():
        named, latest = held[name], held.newest(held[name])
        if manifest is not None and not _shows(manifest, _standing_of(latest)):
            found += _appeared(held, named, manifest, started, before=standing.get(name))
        # Written since the listing began, it may have been made again after it.
        elif manifest is None and latest is not None and latest.pk == standing[name].pk:
            found.append(AccessVersion(object=named, at=_after(latest, started), uid=latest.uid, deletion=True))
    return found


def _appeared(
    held: Holding,
    named: AccessObject,
    manifest: inventory.Manifest,
    started: datetime,
    *,
    before: _Standing | None,
) -> list[AccessVersion]:
    """Return the version that a listed object is of, unless it is recorded."""
    latest, (uid, resource_version) = held.newest(named), _identity(manifest)
    version = AccessVersion(
        object=named,
        at=_after(latest, started),
        uid=uid,
        resource_version=resource_version,
        manifest=inventory.recorded(manifest),
    )
    if latest is None:
        return [version]
    # An earlier listing that missed it was wrong.
    named.versions.filter(source=_LISTING, deletion=True, uid=uid).delete()
    if not held.may_have(named, uid, resource_version):
        return [version]
    unchanged = latest.deletion or (before is not None and before.pk == latest.pk)
    if unchanged and latest.at < started - CLOCKS_DIFFER and not _stands(named, uid, resource_version):
        # It was changed or deleted, as was known already, and is again the very version it was before: restored past
        # the API server, from a backup, or the order of its versions is not what we take it for.
        version.resource_version = ""
        return [version]
    inventory.settle(named, named.latest())
    return []


def _stands(named: AccessObject, uid: str, resource_version: str) -> bool:
    """Tell whether this version is the last of which anybody knows what it is."""
    known = named.versions.filter(Q(deletion=True) | Q(manifest__isnull=False)).order_by("-at", "-pk").first()
    shown = _standing_of(known)
    return shown is not None and not shown.deletion and (shown.uid, shown.resource_version) == (uid, resource_version)


def _store(versions: list[AccessVersion], explanation: str) -> None:
    """Store what a listing showed: each is the newest version of its object."""
    for version in versions:
        version.source, version.explanation = _LISTING, explanation
    AccessVersion.objects.bulk_create(versions)
    for version in versions:
        inventory.settle(version.object, version)


def _after(latest: AccessVersion | None, at: datetime) -> datetime:
    """Return the time, but later than the newest version: the cluster's clock may be ahead of ours."""
    return at if latest is None else max(at, latest.at + timedelta(microseconds=1))
