"""What a cluster's API lists: versions of its roles and bindings that no event told, and objects that are gone."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from alerts.audit.event import metadata_of
from alerts.cluster.errors import ClusterError
from alerts.cluster.kinds import RBAC_KINDS
from alerts.models import AccessObject, AccessVersion, Cluster
from alerts.models.access import Name
from alerts.services import connection, inventory

_LISTING = AccessVersion.Source.LISTING
_NAME = ("kind", "namespace", "name")
_CLOCKS_DIFFER = timedelta(minutes=1)


def listable() -> QuerySet[Cluster]:
    """Return the clusters that Rolecall may list."""
    return Cluster.objects.filter(readable=True).exclude(api_address="")


def never_listed() -> QuerySet[Cluster]:
    """Return the clusters that Rolecall may list and never tried to."""
    return listable().filter(inventory_at=None, inventory_error="")


def refresh(cluster: Cluster) -> bool:
    """List the live cluster, and record what no event told: new versions, and objects that are gone.

    Returns whether the cluster answered; where it did not, Cluster.inventory_error says why.
    """
    started, before = timezone.now(), _standing(cluster)
    try:
        with connection.connect(cluster) as api:
            listed = [manifest for kind in RBAC_KINDS for manifest in api.list_all(kind)]
    except (connection.NotConnected, ClusterError) as error:
        Cluster.objects.filter(pk=cluster.pk).update(inventory_error=str(error))
        cluster.inventory_error = str(error)
        return False
    with transaction.atomic():
        first = Cluster.objects.filter(pk=cluster.pk, inventory_at=None).exists()
        seen = {inventory.name_of(manifest["kind"], metadata_of(manifest)): manifest for manifest in listed}
        held = AccessObject.hold(cluster, before.keys() | seen.keys())
        for name, manifest in seen.items():
            _take_over(held[name], manifest, started, baseline=first)
        for name in before.keys() - seen.keys():
            named = held[name]
            latest = named.latest()
            # Written since the listing began, it may have been made again after it.
            if latest is not None and latest.pk == before[name]:
                _miss(named, latest, started, baseline=first)
        Cluster.objects.filter(pk=cluster.pk).update(inventory_at=started, inventory_error="")
    cluster.inventory_at, cluster.inventory_error = started, ""
    return True


def _standing(cluster: Cluster) -> dict[Name, int]:
    """Return the objects believed to exist, each with the key of its newest version."""
    newest = AccessVersion.objects.filter(object=OuterRef("pk")).order_by("-at", "-pk")
    objects = AccessObject.objects.filter(cluster=cluster, deleted_at=None)
    found = objects.annotate(newest=Subquery(newest.values("pk")[:1])).values_list(*_NAME, "newest")
    return {(kind, namespace, name): key for kind, namespace, name, key in found if key is not None}


def _take_over(named: AccessObject, manifest: inventory.Manifest, started: datetime, *, baseline: bool) -> None:
    """Record a listed object's version unless it is known.

    `baseline` says that nothing was listed before: what there is needs no event to explain it.
    """
    metadata = metadata_of(manifest)
    uid, resource_version = inventory.identity(metadata, "uid"), inventory.identity(metadata, "resourceVersion")
    latest = named.latest()
    if latest is not None and (latest.uid, latest.resource_version, latest.deletion) == (uid, resource_version, False):
        return
    # An earlier listing that missed it was wrong.
    named.versions.filter(source=_LISTING, deletion=True, uid=uid).delete()
    seen = {"source": _LISTING, "at": _after(latest, started), "manifest": inventory.recorded(manifest)} | _explained(
        baseline
    )
    _, new = named.versions.get_or_create(uid=uid, resource_version=resource_version, deletion=False, defaults=seen)
    if not new and latest is not None and latest.deletion and latest.at < started - _CLOCKS_DIFFER:
        # It was deleted, and is there again as the very version it was: restored past the API server, from a backup.
        named.versions.create(uid=uid, **seen)
    inventory.settle(named, named.latest())


def _miss(named: AccessObject, latest: AccessVersion, started: datetime, *, baseline: bool) -> None:
    named.versions.create(
        source=_LISTING, at=_after(latest, started), uid=latest.uid, deletion=True, **_explained(baseline)
    )
    inventory.settle(named, named.latest())


def _explained(baseline: bool) -> inventory.Manifest:
    """Return the fields of a version that needs no event to explain it, where it is part of the baseline."""
    return {"explanation": AccessVersion.Explanation.BASELINE if baseline else ""}


def _after(latest: AccessVersion | None, at: datetime) -> datetime:
    """Return the time, but later than the newest version: the cluster's clock may be ahead of ours."""
    return at if latest is None else max(at, latest.at + timedelta(microseconds=1))
