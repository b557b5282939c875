"""What must not happen again after an alert: each condition that comes true reopens the alert, once.

The role or a binding to it returns, somebody who held it is given something else, its maker writes RBAC again, or
something that was left behind returns. Our own revoke trips none of them: it creates nothing, and it is judged by who
acted, never by an audit ID, which every client may choose.
"""

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from alerts import rbac
from alerts.audit.event import Event
from alerts.audit.glance import Glance
from alerts.audit.visible import storable
from alerts.cluster.kinds import KINDS as OBJECT_KINDS
from alerts.models import AccessObject, AccessVersion, Activity, Alert, AuditEvent, Cluster, Watch
from alerts.services import grants, workflow

RBAC_GROUP = "rbac.authorization.k8s.io"
KINDS = {
    "clusterroles": AccessObject.Kind.CLUSTER_ROLE,
    "roles": AccessObject.Kind.ROLE,
    "clusterrolebindings": AccessObject.Kind.CLUSTER_ROLE_BINDING,
    "rolebindings": AccessObject.Kind.ROLE_BINDING,
}
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_CREATED = 201
DAYS = 30
LONGEST_DAYS = 365
# Of a role that very many hold, so many are watched; the activity says how many are not.
HOLDERS = 200
_PURPOSE = "Reopens this alert if the role, its maker, its holders or what they left return"

type Place = tuple[str, str, str]


def start(alert: Alert, *, by: User | None, days: int = DAYS) -> list[Watch]:
    """Watch for the alert's role, its bindings, its holders, its actor, and what was left behind and made anew.

    What is watched already is watched until the later end; nothing is watched twice. `days` counts from now and is
    held between 1 and LONGEST_DAYS.
    """
    until = timezone.now() + timedelta(days=_held(days))
    with transaction.atomic():
        fresh = Alert.objects.select_for_update().get(pk=alert.pk)
        watches = [_watch(alert, condition, target, until, by) for condition, target in _targets(alert)]
        summary = f"watches for a return until {until:%Y-%m-%d}{_unwatched(alert)}"
        Activity.objects.record("watching", summary, by=by, alert=alert, detail={"days": days})
        _write_evidence(fresh)
    return watches


def extend(alert: Alert, *, by: User, days: int = DAYS) -> list[Watch]:
    """Watch so many days longer for everything that is watched now, but never longer than LONGEST_DAYS from now."""
    now = timezone.now()
    latest = now + timedelta(days=LONGEST_DAYS)
    with transaction.atomic():
        fresh = Alert.objects.select_for_update().get(pk=alert.pk)
        running = list(alert.watches.select_for_update().filter(tripped_at=None, until__gt=now))
        for each in running:
            each.until = max(each.until, min(each.until + timedelta(days=_held(days)), latest))
            each.save(update_fields=["until"])
        if running:
            until = max(each.until for each in running)
            summary = f"watches longer, until {until:%Y-%m-%d}"
            Activity.objects.record("watching", summary, by=by, alert=alert, detail={"days": days})
            _write_evidence(fresh)
    return running


def cover(alert: Alert) -> None:
    """Watch for what the investigation found since, as long as for the rest; nothing where nobody watches.

    Belongs into the transaction that saves the evidence, with the alert's row locked.
    """
    running = alert.watches.filter(tripped_at=None, until__gt=timezone.now()).order_by("-until").first()
    if running is None:
        return
    ever = set(alert.watches.values_list("condition", "kind", "namespace", "name"))
    for condition, target in _targets(alert):
        if (condition, *target) not in ever:
            _watch(alert, condition, target, running.until, None)


def _held(days: int) -> int:
    return min(max(days, 1), LONGEST_DAYS)


def end(watch: Watch, *, by: User | None) -> None:
    """Stop watching for one condition; ending it twice changes nothing."""
    with transaction.atomic():
        ended = Watch.objects.filter(pk=watch.pk, until__gt=timezone.now(), tripped_at=None).update(
            until=timezone.now()
        )
        if ended:
            label = watch.get_condition_display()
            Activity.objects.record("watching", f"ended the watch “{label}: {watch.name}”", by=by, alert=watch.alert)
            _write_evidence(Alert.objects.select_for_update().get(pk=watch.alert_id))


def watched_until(alert: Alert) -> datetime | None:
    """Return until when something is watched for the alert; None where nothing is."""
    return max((watch.until for watch in alert.watches.all() if watch.is_running()), default=None)


def awaited(cluster: Cluster) -> frozenset[Place]:
    """Return the API resource as `group/plural`, namespace and name of what was left behind and must not return."""
    waiting = _waiting(cluster).filter(condition=Watch.Condition.REMAINS)
    return frozenset(_place(*target) for target in waiting.values_list("kind", "namespace", "name"))


def creates(event: Event | Glance) -> bool:
    """Tell whether an event made something."""
    return event.response_status is not None and event.response_status.code == _CREATED


def concerns(event: Event, places: frozenset[Place]) -> bool:
    """Tell whether an event made one of those objects."""
    if not places or event.subresource or event.dry_run or not creates(event):
        return False
    return (f"{event.group}/{event.resource}", storable(event.namespace), storable(event.name)) in places


def notice(cluster: Cluster, row: AuditEvent, version: AccessVersion | None = None) -> list[Watch]:
    """Trip the watches that this event makes true and return them, each alert reopened where it was closed.

    `version` is what the event says became of a role or binding. Belongs into the transaction that records the event.
    """
    if row.subresource or row.verb not in _WRITES or row.dry_run:
        return []
    waiting = list(_waiting(cluster).filter(until__gte=row.at).select_related("alert"))
    if not waiting:
        return []
    gaining = grants.gained(version, [each for each in waiting if each.condition == Watch.Condition.GAINS])
    tripped = [watch for watch in waiting if watch.pk in gaining or _is_true(watch, row)]
    for watch in tripped:
        _trip(watch, row)
    return tripped


def _waiting(cluster: Cluster) -> QuerySet[Watch]:
    return Watch.objects.filter(alert__cluster=cluster, tripped_at=None)


def _is_true(watch: Watch, row: AuditEvent) -> bool:
    """Tell whether an event is what the watch waits for, gains aside."""
    if watch.condition == Watch.Condition.REMAINS:
        made = (f"{row.group}/{row.resource}", row.namespace, row.name)
        same = made == _place(watch.kind, watch.namespace, watch.name)
        return same and row.code == _CREATED and row.at > watch.since
    kind = KINDS.get(row.resource) if row.group == RBAC_GROUP else None
    return kind is not None and (_returned(watch, kind, row) or _wrote_again(watch, row))


def _place(kind: str, namespace: str, name: str) -> Place:
    known = OBJECT_KINDS[kind]
    return f"{known.group}/{known.plural}", namespace, name


def _targets(alert: Alert) -> list[tuple[Watch.Condition, Place]]:
    """Return what to watch: each condition with a kind, namespace and name."""
    found: list[tuple[Watch.Condition, Place]] = []
    if alert.object is not None:
        bindings = grants.bindings_to(alert.object)
        objects = [alert.object, *bindings]
        found += [(Watch.Condition.RETURNS, (each.kind, each.namespace, each.name)) for each in objects]
        holders = grants.holders(alert.object, since=alert.happened_at)[:HOLDERS]
        found += [(Watch.Condition.GAINS, (each.kind, each.namespace, each.name)) for each in holders]
    if alert.actor:
        found.append((Watch.Condition.ACTOR_WRITES, ("", "", alert.actor)))
    left = alert.remedy_items.exclude(object_kind="").values_list("object_kind", "namespace", "name")
    found += [(Watch.Condition.REMAINS, place) for place in left]
    return found


def _unwatched(alert: Alert) -> str:
    held_by = grants.holders(alert.object, since=alert.happened_at) if alert.object else []
    left_out = len(held_by) - HOLDERS
    return f"; {left_out} of its {len(held_by)} holders are not watched: too many" if left_out > 0 else ""


def _watch(alert: Alert, condition: Watch.Condition, target: Place, until: datetime, by: User | None) -> Watch:
    kind, namespace, name = target
    same: dict[str, Any] = {"condition": condition, "kind": kind, "namespace": namespace, "name": name}
    running = alert.watches.filter(**same, tripped_at=None, until__gt=timezone.now()).first()
    if running is None:
        return Watch.objects.create(alert=alert, **same, until=until, set_by=by)
    running.until = max(running.until, until)
    running.save(update_fields=["until"])
    return running


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
    if not created or row.at <= watch.alert.happened_at:
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
    if watch.condition != Watch.Condition.ACTOR_WRITES or row.at <= watch.since:
        return False
    return watch.name in {row.username, (row.impersonated or {}).get("username")}


def _uid(row: AuditEvent) -> str:
    answer = row.body.get("responseObject")
    metadata = answer.get("metadata") if isinstance(answer, dict) else None
    return str(metadata.get("uid") or "") if isinstance(metadata, dict) else ""


def _trip(watch: Watch, row: AuditEvent) -> None:
    """Mark the watch, add the event to its alert, and open the alert again if it was closed."""
    alert = Alert.objects.select_for_update().get(pk=watch.alert_id)
    watch.tripped_at, watch.tripped_by, watch.alert = timezone.now(), row, alert
    watch.save(update_fields=["tripped_at", "tripped_by"])
    alert.events.add(row)
    alert.evidence_due = True
    alert.save(update_fields=["evidence_due"])
    _write_evidence(alert)
    Activity.objects.record("tripped", told(watch), by=None, alert=alert, detail={"event": row.sha256})
    if not alert.is_open():
        workflow.reopen(alert, by=None, version=alert.version, reason=told(watch))


def returned_by(alert: Alert) -> list[Alert]:
    """Return the other alerts that one of this alert's events opened again."""
    tripped = Alert.objects.filter(watches__tripped_by__in=alert.events.all()).exclude(pk=alert.pk)
    return list(tripped.distinct().order_by("pk"))


def evidence(alert: Alert) -> dict[str, Any]:
    """Return the evidence for the step: one line, and whether it tripped."""
    watches = list(alert.watches.all())
    running = [watch for watch in watches if watch.is_running()]
    tripped = [watch for watch in watches if watch.tripped_at is not None]
    chips = [["critical", "Tripped"]] if tripped else [["good", "Watching"]] if running else []
    if not running:
        return {"summary": _PURPOSE, "chips": chips}
    until = max(watch.until for watch in running)
    return {"summary": f"{_PURPOSE}, until {until:%Y-%m-%d}", "chips": chips}


def _write_evidence(alert: Alert) -> None:
    """Keep how the watch stands as the evidence of the alert's step; the alert's row must be locked."""
    alert.evidence = alert.evidence | {"watch": evidence(alert)}
    alert.save(update_fields=["evidence"])


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
