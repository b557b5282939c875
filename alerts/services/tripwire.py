"""What makes a watch true, and what happens then: its alert is opened again, once.

Our own revoke trips none: it creates nothing, and it is judged by who acted, never by an audit ID, which every client
may choose.
"""

from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils import timezone

from alerts import rbac
from alerts.audit.event import RBAC_GROUP, WRITES, Event
from alerts.audit.glance import Glance
from alerts.audit.visible import storable
from alerts.cluster.kinds import KINDS as OBJECT_KINDS
from alerts.models import AccessObject, AccessVersion, Activity, Alert, AuditEvent, Cluster, Watch
from alerts.services import grants, inventory, workflow
from alerts.services.watch import write_evidence

_CREATED = 201

type Place = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Awaited:
    """What the watches of a cluster wait for that is not kept for its own sake.

    `places` are the API resource as `group/plural`, namespace and name of what was left behind and must not return, and
    `writers` those whose writes of roles and bindings are watched, refused ones too.
    """

    places: frozenset[Place] = frozenset()
    writers: frozenset[str] = frozenset()


NOTHING = Awaited()


def awaited(cluster: Cluster) -> Awaited:
    """Return what the watches of a cluster wait for."""
    waiting = _waiting(cluster).order_by().values_list("condition", "kind", "namespace", "name")
    remains, writes = Watch.Condition.REMAINS, Watch.Condition.ACTOR_WRITES
    found = list(waiting.filter(condition__in=[remains, writes]))
    return Awaited(
        frozenset(_place(*target) for condition, *target in found if condition == remains),
        frozenset(name for condition, _, _, name in found if condition == writes),
    )


def creates(event: Event | Glance) -> bool:
    """Tell whether an event made something."""
    return event.response_status is not None and event.response_status.code == _CREATED


def concerns(event: Event, awaited: Awaited) -> bool:
    """Tell whether an event is, or may be, what a watch waits for."""
    if event.subresource or event.dry_run:
        return False
    assumed = event.impersonated_user.username if event.impersonated_user else ""
    if event.writes_rbac and not awaited.writers.isdisjoint({storable(event.actor), storable(assumed)}):
        return True
    if not awaited.places or not creates(event):
        return False
    return (f"{event.group}/{event.resource}", storable(event.namespace), storable(event.name)) in awaited.places


def waits(cluster: Cluster) -> bool:
    """Tell whether any watch can trip."""
    return _waiting(cluster).exists()


def true_by(cluster: Cluster, row: AuditEvent, version: AccessVersion | None = None) -> list[Watch]:
    """Return the watches that an event makes true. `version` is what it says became of a role or binding."""
    if row.subresource or row.verb not in WRITES or row.dry_run:
        return []
    waiting = list(_waiting(cluster).filter(until__gte=row.at).select_related("alert"))
    if not waiting:
        return []
    gaining = grants.gained(version, [each for each in waiting if each.condition == Watch.Condition.GAINS])
    return [watch for watch in waiting if watch.pk in gaining or _is_true(watch, row)]


def notice_listed(version: AccessVersion) -> list[Watch]:
    """Trip the watches that a version makes true which only a listing showed, and return them.

    Who made it is unknown, so no watch on somebody's writes is among them. Belongs into the transaction that judges
    the version.
    """
    waiting = list(_waiting(version.object.cluster).filter(until__gte=version.at).select_related("alert"))
    gaining = grants.gained(version, [each for each in waiting if each.condition == Watch.Condition.GAINS])
    tripped = [watch for watch in waiting if watch.pk in gaining or _is_back(watch, version)]
    for watch in tripped:
        trip(watch, None)
    return tripped


def _is_back(watch: Watch, version: AccessVersion) -> bool:
    named = version.object
    if watch.condition != Watch.Condition.RETURNS or version.deletion or version.at <= watch.alert.happened_at:
        return False
    if (watch.kind, watch.namespace, watch.name) != (named.kind, named.namespace, named.name):
        return False
    before = named.versions.filter(uid=version.uid, at__lte=watch.since).exclude(pk=version.pk)
    return version.uid != watch.alert.object_uid and not before.exists()


def _waiting(cluster: Cluster) -> QuerySet[Watch]:
    return Watch.objects.filter(alert__cluster=cluster, tripped_at=None)


def _is_true(watch: Watch, row: AuditEvent) -> bool:
    """Tell whether an event is what the watch waits for, gains aside."""
    if watch.condition == Watch.Condition.REMAINS:
        made = (f"{row.group}/{row.resource}", row.namespace, row.name)
        same = made == _place(watch.kind, watch.namespace, watch.name)
        return same and row.code == _CREATED and row.ended_at > watch.since
    kind = inventory.KINDS.get(row.resource) if row.group == RBAC_GROUP else None
    return kind is not None and (_returned(watch, kind, row) or _wrote_again(watch, row))


def _place(kind: str, namespace: str, name: str) -> Place:
    known = OBJECT_KINDS[kind]
    return f"{known.group}/{known.plural}", namespace, name


def _returned(watch: Watch, kind: str, row: AuditEvent) -> bool:
    """Tell whether the event made an object of the watched name that is not one known before the watch.

    The time counts from the alert, not from the watch: between a revoke and its watch there is a moment too.
    """
    if watch.condition != Watch.Condition.RETURNS or (watch.kind, watch.namespace, watch.name) != (
        kind,
        row.namespace,
        row.name,
    ):
        return False
    created = row.code == 201 and row.verb in {"create", "patch", "update"}
    if not created or row.ended_at <= watch.alert.happened_at:
        return False
    uid = _uid(row)
    if not uid:
        return True
    named = AccessObject.digest_of(kind, row.namespace, row.name)
    before = AccessObject.objects.filter(
        cluster=row.cluster, digest=named, versions__uid=uid, versions__at__lte=watch.since
    ).exclude(versions__event=row)
    return uid != watch.alert.object_uid and not before.exists()


def _wrote_again(watch: Watch, row: AuditEvent) -> bool:
    """Tell whether the watched actor wrote RBAC, or tried to, by itself or impersonated."""
    if watch.condition != Watch.Condition.ACTOR_WRITES or row.ended_at <= watch.since:
        return False
    return watch.name in {row.username, (row.impersonated or {}).get("username")}


def _uid(row: AuditEvent) -> str:
    answer = row.body.get("responseObject")
    metadata = answer.get("metadata") if isinstance(answer, dict) else None
    return str(metadata.get("uid") or "") if isinstance(metadata, dict) else ""


def trip(watch: Watch, row: AuditEvent | None) -> None:
    """Mark the watch, add the event to its alert where there is one, and open the alert again if it was closed.

    Belongs into the transaction that records the event.
    """
    alert = Alert.objects.select_for_update(no_key=True).get(pk=watch.alert_id)
    watch.tripped_at, watch.tripped_by, watch.alert = timezone.now(), row, alert
    watch.save(update_fields=["tripped_at", "tripped_by"])
    if row is not None:
        alert.events.add(row)
    alert.evidence_due = True
    alert.save(update_fields=["evidence_due"])
    write_evidence(alert)
    Activity.objects.record("tripped", told(watch), by=None, alert=alert, detail={"event": row.sha256 if row else ""})
    if not alert.is_open():
        workflow.reopen(alert, by=None, version=alert.version, reason=told(watch))


def returned_by(alert: Alert) -> list[Alert]:
    """Return the other alerts that one of this alert's events opened again."""
    tripped = Alert.objects.filter(watches__tripped_by__in=alert.events.all()).exclude(pk=alert.pk)
    return list(tripped.distinct().order_by("pk"))


def told(watch: Watch) -> str:
    """Return what a watch that tripped saw, in one sentence."""
    where = f"{watch.namespace}/" if watch.namespace else ""
    if watch.condition in {Watch.Condition.RETURNS, Watch.Condition.REMAINS}:
        return f"{watch.kind} {where}{watch.name} returned"
    if watch.condition == Watch.Condition.GAINS:
        return f"{rbac.Subject(watch.kind, watch.name, watch.namespace)} was given something else"
    row = watch.tripped_by
    tried = "tried to write" if row is not None and row.code is not None and row.code >= 400 else "wrote"
    return f"{watch.name} {tried} RBAC again"
