"""What is known of a cluster, as the detections ask for it: from the versions of its roles and bindings."""

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from alerts import rbac
from alerts.audit.event import Event, metadata_of
from alerts.audit.visible import storable
from alerts.models import AccessObject, AccessVersion, Cluster
from alerts.models.access import Name
from alerts.services import inventory
from alerts.services.attempts import Attempts
from alerts.services.holding import Holding

# A listing is dated at its start: what was written while it ran may be in it already.
_LISTING_LASTS = timedelta(seconds=60)


class Knowledge:
    """What is known of one cluster while its events are examined; `forget` after what was known has changed."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._access: rbac.Access | None = None
        self.held = Holding(cluster, {})
        self.attempts = Attempts(cluster)

    def hold(self, events: Iterable[Event]) -> None:
        """Keep others from recording anything of what these events changed, until the transaction is over."""
        self.held = inventory.hold(self.cluster, events)

    def access(self) -> rbac.Access:
        """Return who may do what on the cluster."""
        if self._access is None:
            self.held.store()
            self._access = inventory.access(self.cluster)
        return self._access

    def forget(self) -> None:
        """Read the cluster anew when somebody asks again."""
        self._access = None

    def before(self, event: Event, kind: str, after: inventory.Manifest | None) -> inventory.Manifest | None:
        """Return a role or binding as it was last seen before an event left it as `after`; None where nobody saw it.

        A write that changed nothing leaves the version that was there: then that is what was before.
        """
        name, namespace = storable(event.name), storable(event.namespace)
        at = event.at or timezone.now()
        newest = self._newest((kind, namespace, name), after)
        if newest is not None and newest.at < at and newest.tells():
            return None if newest.deletion else newest.manifest
        self.held.store()
        known = AccessVersion.objects.filter(
            Q(deletion=True) | Q(manifest__isnull=False),
            object__cluster=self.cluster,
            object__digest=AccessObject.digest_of(kind, namespace, name),
            at__lt=at,
        ).order_by("-at", "-pk")
        last = same = _same(known, after)
        if same is None:
            last = known.first()
        elif same.source == AccessVersion.Source.LISTING and at - same.at < _LISTING_LASTS:
            last = known.filter(Q(at__lt=same.at) | Q(at=same.at, pk__lt=same.pk)).first() or same
        return last.manifest if last and not last.deletion else None

    def _newest(self, name: Name, after: inventory.Manifest | None) -> AccessVersion | None:
        """Return the newest version of an object that is held, None where `after` may be an earlier one."""
        named = self.held.get(name)
        identity = _identity(after)
        if named is None or (identity and self.held.may_have(named, *identity)):
            return None
        return self.held.newest(named)


def _same(known: QuerySet[AccessVersion], manifest: inventory.Manifest | None) -> AccessVersion | None:
    """Return the version that is this very one, by uid and resourceVersion."""
    identity = _identity(manifest)
    return known.filter(uid=identity[0], resource_version=identity[1]).first() if identity else None


def _identity(manifest: inventory.Manifest | None) -> tuple[str, str] | None:
    """Return uid and resourceVersion, None where either is unknown."""
    metadata = metadata_of(manifest)
    uid, resource_version = metadata.get("uid"), metadata.get("resourceVersion")
    if not (isinstance(uid, str) and isinstance(resource_version, str) and resource_version):
        return None
    return storable(uid), storable(resource_version)
