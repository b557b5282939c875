"""What is known of a cluster, as the detections ask for it: from the versions of its roles and bindings."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from alerts import rbac
from alerts.audit.event import Event, metadata_of
from alerts.audit.visible import storable
from alerts.models import AccessObject, AccessVersion, Cluster
from alerts.models.access import Name, revision_of
from alerts.services import chronology, inventory
from alerts.services.attempts import Attempts
from alerts.services.chronology import Write
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
        write, identity = _write(event, after), _identity(after)
        newest = self._newest((kind, namespace, name), identity)
        if newest is not None and newest.tells() and self._follows(write, newest):
            return None if newest.deletion else newest.manifest
        self.held.store()
        known = AccessVersion.objects.filter(
            Q(deletion=True) | Q(manifest__isnull=False),
            object__cluster=self.cluster,
            object__digest=AccessObject.digest_of(kind, namespace, name),
        )
        same = known.filter(uid=identity[0], resource_version=identity[1]).first() if identity else None
        last = _before(known, write) if same is None else _before_same(known, write, same)
        return last.manifest if last and not last.deletion else None

    def _follows(self, write: Write, newest: AccessVersion) -> bool:
        """Tell whether the newest version of a held object is what a write came right after."""
        first = bool(write.uid) and self.held.is_first(newest.object_id, write.uid)
        return newest.at < write.ended if first else write.surely_follows(newest)

    def first(self, event: Event, kind: str, uid: str) -> inventory.Manifest | None:
        """Return the role or binding of this uid that an event is about as it was first seen; None where nobody did."""
        self.held.store()
        digest = AccessObject.digest_of(kind, storable(event.namespace), storable(event.name))
        seen = AccessVersion.objects.filter(
            object__cluster=self.cluster, object__digest=digest, uid=storable(uid), manifest__isnull=False
        )
        version = seen.order_by("at", "pk").first()
        return version.manifest if version else None

    def _newest(self, name: Name, identity: tuple[str, str] | None) -> AccessVersion | None:
        """Return the newest version of an object that is held, None where the one of this identity may be earlier."""
        named = self.held.get(name)
        if named is None or (identity and self.held.may_have(named, *identity)):
            return None
        return self.held.newest(named)


def _write(event: Event, after: inventory.Manifest | None) -> Write:
    began = event.at or timezone.now()
    uid, resource_version = _identity(after) or ("", "")
    return Write(began, event.ended_at or began, uid, revision_of(resource_version))


def _before(known: QuerySet[AccessVersion], write: Write) -> AccessVersion | None:
    """Return the version that a write came right after."""
    dated = known.filter(at__lt=chronology.latest_date(known, write)).order_by("-at", "-pk").first()
    found = [each for each in (dated, chronology.preceding(known, write)) if each is not None]
    return max(found, key=lambda each: (each.at, each.pk), default=None)


def _before_same(known: QuerySet[AccessVersion], write: Write, same: AccessVersion) -> AccessVersion | None:
    """Return the version that a write came right after which left an object as a version that is recorded."""
    earlier = known.exclude(pk=same.pk)
    own = same.event is not None and same.event.at == write.began
    if own or same.at >= write.began:
        # It may be what the write made: of two whose requests overlap nobody can tell which one it was.
        return _before(earlier, replace(write, ended=min(write.ended, same.at)))
    if same.source == AccessVersion.Source.LISTING and write.began - same.at < _LISTING_LASTS:
        return _before(earlier, replace(write, ended=same.at)) or same
    return same


def _identity(manifest: inventory.Manifest | None) -> tuple[str, str] | None:
    """Return uid and resourceVersion, None where either is unknown."""
    metadata = metadata_of(manifest)
    uid, resource_version = metadata.get("uid"), metadata.get("resourceVersion")
    if not (isinstance(uid, str) and isinstance(resource_version, str) and resource_version):
        return None
    return storable(uid), storable(resource_version)
