"""Does an audit event explain every role and binding that the cluster has? Where none does, an alert opens.

`listing.refresh` records what a listing shows and no event told; here each such version is judged once, after a
grace for events that are still on their way, or that wait in the inbox.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from alerts import rbac
from alerts.audit.event import ABRIDGED, BEFORE_ANY, RBAC_GROUP, metadata_of
from alerts.detections import unaudited_change
from alerts.detections.unaudited_change import Standing
from alerts.detections.writes import is_of_metadata
from alerts.models import AccessObject, AccessVersion, Activity, Alert, AuditEvent, Batch, Cluster
from alerts.services import alarm, delivery, inventory, tripwire
from alerts.services.kept import event_of

# By how much the clock of an API server may be ahead of ours.
_SKEW = timedelta(seconds=5)
# An API server answers after a minute at the latest, and dates an object when the creation has passed admission.
_CREATION_LASTS = timedelta(minutes=2)
# Each takes some ten milliseconds, in which on SQLite nobody else can write.
_AT_ONCE = 50
_LISTING, _EVENT = AccessVersion.Source.LISTING, AccessVersion.Source.EVENT
_Explanation = AccessVersion.Explanation
# Of these nobody was given anything that they had not before.
_HARMLESS = frozenset({_Explanation.BASELINE, _Explanation.DEFAULT})
_RESOURCES = {str(kind): resource for resource, kind in inventory.KINDS.items()}
# What may have brought an object to how it stands.
_VERBS = {
    "appeared": ("create", "update", "patch"),
    "changed": ("create", "update", "patch"),
    "replaced": ("create", "update", "patch"),
    "vanished": ("delete", "deletecollection"),
}


def grace() -> timedelta:
    """Return how long an event may take to arrive."""
    return timedelta(seconds=settings.UNAUDITED_GRACE_SECONDS)


def unexplained(cluster: Cluster | None = None) -> QuerySet[AccessVersion]:
    """Return the versions that only a listing showed and nobody judged yet, of one cluster or of all."""
    found = AccessVersion.objects.filter(source=_LISTING, explanation="", alert=None)
    return found.filter(object__cluster=cluster) if cluster else found


def due() -> list[int]:
    """Return the keys of the clusters that have something to judge."""
    waiting = unexplained().filter(at__lte=timezone.now() - grace())
    return sorted(set(waiting.values_list("object__cluster", flat=True)))


def reconcile(cluster: Cluster) -> list[Alert]:
    """Judge what no event told, and return the alerts that this opened. Done twice it comes to the same."""
    with transaction.atomic():
        # Objects are held before alerts are, as intake does.
        _infer_deletions(cluster)
        _note_late_events(cluster)
    around, opened = _Surroundings(cluster), list[Alert]()
    while (more := _judge_some(cluster, around)) is not None:
        opened += more
    return opened


def _judge_some(cluster: Cluster, around: "_Surroundings") -> list[Alert] | None:
    """Judge as many versions as nobody has to wait for; return the alerts that opened, None where nothing is left."""
    with transaction.atomic():
        versions = _judgeable(cluster)
        opened = [_judge(version, around) for version in versions]
    return [alert for alert in opened if alert is not None] if versions else None


def _judgeable(cluster: Cluster) -> list[AccessVersion]:
    """Lock and return the versions whose event had its time: it is in no batch that still waits to be examined."""
    found = unexplained(cluster).filter(at__lte=timezone.now() - grace())
    waiting = cluster.batches.filter(state__in=Batch.UNEXAMINED)
    oldest = waiting.order_by("received_at").values_list("received_at", flat=True).first()
    if oldest is not None:
        found = found.filter(at__lt=oldest - grace())
    locked = found.select_for_update(of=("self",), skip_locked=True).select_related("object__cluster")
    return list(locked.order_by("at", "pk")[:_AT_ONCE])


class _Surroundings:
    """What a version is judged by beside itself."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    @cached_property
    def heard(self) -> bool:
        """Whether the cluster ever sent an event: before that, none is missing."""
        return Cluster.objects.filter(pk=self.cluster.pk, last_event_at__isnull=False).exists()

    def contributed(self, ref: rbac.RoleRef, *moments: datetime) -> set[rbac.Rule]:
        """Return the rules of the roles that an aggregated role selected at any of these times."""
        found = set()
        for at in moments:
            access = inventory.access(self.cluster, at)
            found |= {rule for child in access.aggregation.children.get(ref, ()) for rule in access.rules(child)}
        return found


def _judge(version: AccessVersion, around: _Surroundings) -> Alert | None:
    before = known_before(version)
    explanation = _explanation(version, before, around) if around.heard else _Explanation.BASELINE
    if explanation not in _HARMLESS:
        for tripped in tripwire.notice_listed(version):
            delivery.announce(tripped.alert, tripwire.told(tripped), once=f"watch {tripped.pk}")
    if explanation:
        version.explanation = explanation
        version.save(update_fields=["explanation"])
        return None
    named = version.object
    found = unaudited_change.finding(
        named.kind, named.namespace, named.name, standing(before), standing_of(version), at=version.at
    )
    alert, new = alarm.open_alert(named.cluster, found, at=version.at)
    version.alert = alert
    version.save(update_fields=["alert"])
    return alert if new else None


def known_before(version: AccessVersion) -> AccessVersion | None:
    """Return the newest version before this one that says what the object was, or that it was not."""
    earlier = Q(at__lt=version.at) | Q(at=version.at, pk__lt=version.pk)
    known = Q(deletion=True) | Q(manifest__isnull=False)
    return version.object.versions.filter(earlier, known).order_by("-at", "-pk").first()


def standing(version: AccessVersion | None) -> Standing | None:
    """Return how the object stood in a version; None where there is none."""
    return standing_of(version) if version is not None else None


def standing_of(version: AccessVersion) -> Standing:
    """Return how the object stands in a version."""
    return Standing(version.uid, version.resource_version, version.manifest, exists=not version.deletion)


def _explanation(version: AccessVersion, before: AccessVersion | None, around: _Surroundings) -> str:
    """Return what explains the version, or "" for nothing."""
    if _told_of(version, unaudited_change.deed(standing(before), standing_of(version))) or _never_was(version, before):
        return _Explanation.EVENT
    after = version.manifest
    if version.deletion or after is None:
        return ""
    if before is not None and before.manifest is not None and before.uid == version.uid:
        ref = rbac.RoleRef(version.object.kind, version.object.name, version.object.namespace)
        aggregated = bool(after.get("aggregationRule"))
        contributed = around.contributed(ref, before.at, version.at) if aggregated else set()
        if aggregated and unaudited_change.echoes(before.manifest, after, contributed):
            return _Explanation.AGGREGATION
    if unaudited_change.restores_default(after, _shipped_before(version)):
        return _Explanation.DEFAULT
    return ""


def _shipped_before(version: AccessVersion) -> list[dict[str, Any]]:
    """Return what a default was when Rolecall first looked, and what the API server itself made of it since."""
    trusted = Q(explanation=_Explanation.BASELINE) | Q(source=_EVENT, event__username="system:apiserver")
    earlier = version.object.versions.filter(trusted, at__lt=version.at, manifest__isnull=False)
    return [manifest for manifest in earlier.values_list("manifest", flat=True)[:20] if manifest]


def _told_of(version: AccessVersion, deed: str) -> bool:
    """Tell whether an event that does not show what it made of the object may be what made this version."""
    named = version.object
    exact = named.versions.filter(Q(deletion=True) | ~Q(resource_version=""), at__lt=version.at).exclude(pk=version.pk)
    last = exact.select_related("event").order_by("-at").first()
    since = last and (last.event.at if last.event else last.at)
    window = Q(at__lte=version.at + _SKEW) & (Q(at__gt=since) if since else Q())
    if version.deletion and named.versions.filter(window, source=_EVENT, deletion=True).exists():
        return True
    unnamed = Q(name="", verb__in=["create", "deletecollection"])
    rows = AuditEvent.objects.filter(
        window,
        _may_have_made(version),
        Q(code__lt=400) | _uncertain(),
        cluster=named.cluster,
        group=RBAC_GROUP,
        resource=_RESOURCES[named.kind],
        namespace=named.namespace,
        subresource="",
        verb__in=_VERBS[deed],
    )
    rows = rows.exclude(dry_run=True)
    unseen = ~Q(level="RequestResponse") | Q(incomplete=True) | _uncertain()
    if rows.filter(Q(name=named.name) | unnamed, unseen).exists():
        return True
    abridged = rows.filter(name=named.name, body__responseObject__kind__in=ABRIDGED)
    # What wrote nothing but metadata is no finding, and must not hide what wrote more.
    return any(event and not is_of_metadata(event) for event in map(event_of, abridged))


def _may_have_made(version: AccessVersion) -> Q:
    """Return the condition that a creation was under way when the object was made, as the API server dates it.

    Of an object that nobody saw before there is no other limit: one creation without a name would explain all there
    will ever be.
    """
    created = metadata_of(version.manifest).get("creationTimestamp")
    at = parse_datetime(created) if isinstance(created, str) else None
    return ~Q(verb="create") | Q(at__range=(at - _CREATION_LASTS, at + _SKEW)) if at else Q()


def _never_was(version: AccessVersion, before: AccessVersion | None) -> bool:
    """Tell whether nothing proves that what is missing was ever there: requests to write it may all have failed."""
    if not version.deletion or (before is not None and not before.deletion):
        return False
    written = version.object.versions.filter(at__lt=version.at)
    written = written.filter(at__gt=before.at) if before is not None else written
    return written.filter(_uncertain("event__")).exists() and not written.exclude(_uncertain("event__")).exists()


def _uncertain(of: str = "") -> Q:
    """Return the condition that nobody knows whether a kept event was carried out, as Event.succeeded has it."""
    unknown = Q(**{f"{of}code__isnull": True}) | Q(**{f"{of}code__gte": 500}) | Q(**{f"{of}stage": "Panic"})
    collection = Q(**{f"{of}verb": "deletecollection", f"{of}decision": "allow", f"{of}code__gte": 400})
    return unknown | (collection & ~Q(**{f"{of}code__in": BEFORE_ANY}))


def _note_late_events(cluster: Cluster) -> None:
    """Tell the alert of a version whose event arrived after all."""
    late = AccessVersion.objects.filter(object__cluster=cluster, source=_EVENT, alert__isnull=False)
    for version in late.select_related("alert", "event").select_for_update(of=("self",)):
        alert, row = version.alert, version.event
        version.alert = None
        version.save(update_fields=["alert"])
        if alert is None or row is None:
            continue
        alarm.add_event(alert, row)
        Alert.objects.filter(pk=alert.pk, actor="").update(actor=row.username)
        Activity.objects.record(
            "explained",
            f"received the audit event after all: {row.username or 'somebody'} did it",
            by=None,
            alert=alert,
            detail={"event": row.sha256},
        )


def _infer_deletions(cluster: Cluster) -> None:
    """Record what a creation under another uid proves: the object before it is gone, though no event said so."""
    uids = Count("versions__uid", distinct=True, filter=~Q(versions__uid=""))
    again = AccessObject.objects.filter(cluster=cluster).annotate(uids=uids).filter(uids__gt=1)
    # Most of them were told to be deleted, and need not be held.
    lacking = {versions[0].object_id for versions in _histories(again) if any(_gaps(versions))}
    names = again.filter(pk__in=lacking).values_list("kind", "namespace", "name")
    held = AccessObject.hold(cluster, names)
    for versions in _histories(held.values()):
        for last, first in _gaps(versions):
            gone_at = first.at - timedelta(microseconds=1)
            first.object.versions.create(source=_LISTING, at=gone_at, uid=last.uid, deletion=True)


def _histories(named: Iterable[AccessObject]) -> Iterator[list[AccessVersion]]:
    """Yield the versions of each of these objects in their order, without what they said."""
    versions = AccessVersion.objects.filter(object__in=named).defer("manifest")
    for _, history in groupby(versions.order_by("object", "at", "pk"), key=attrgetter("object_id")):
        yield list(history)


def _gaps(versions: list[AccessVersion]) -> Iterator[tuple[AccessVersion, AccessVersion]]:
    """Yield the last version of one object and the first of the next where nothing between them says it went."""
    last: AccessVersion | None = None
    for version in versions:
        other = last is not None and last.uid and version.uid and last.uid != version.uid
        if last is not None and other and not last.deletion and version.source == _EVENT and not version.deletion:
            yield last, version
        last = version
