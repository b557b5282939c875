"""What is known of a cluster, as the detections ask for it: from the versions of its roles and bindings."""

from datetime import timedelta

from django.utils import timezone

from alerts import rbac
from alerts.audit.event import Event, metadata_of
from alerts.audit.visible import storable
from alerts.models import AccessObject, AccessVersion, Cluster
from alerts.services import inventory

# A listing is dated at its start: what was written while it ran may be in it already.
_LISTING_LASTS = timedelta(seconds=60)


class Knowledge:
    """What is known of one cluster while its events are examined; `forget` after what was known has changed."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._access: rbac.Access | None = None

    def access(self) -> rbac.Access:
        """Return who may do what on the cluster."""
        if self._access is None:
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
        digest = AccessObject.digest_of(kind, namespace, name)
        at = event.at or timezone.now()
        seen = AccessVersion.objects.filter(object__cluster=self.cluster, object__digest=digest, at__lt=at)
        known = [each for each in seen.order_by("-at", "-pk") if each.deletion or each.manifest is not None]
        same = next((each for each in known if after is not None and _is(each, after)), None)
        if same is not None:
            earlier = known[known.index(same) + 1 :]
            listed = same.source == AccessVersion.Source.LISTING and at - same.at < _LISTING_LASTS
            known = earlier if listed and earlier else [same]
        return known[0].manifest if known and not known[0].deletion else None


def _is(version: AccessVersion, manifest: inventory.Manifest) -> bool:
    """Tell whether a version is this very one, by uid and resourceVersion."""
    metadata = metadata_of(manifest)
    identity = (metadata.get("uid"), metadata.get("resourceVersion"))
    return bool(version.resource_version) and (version.uid, version.resource_version) == identity
