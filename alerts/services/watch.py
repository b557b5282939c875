"""What must not happen again after an alert: the role or a binding returns, or its maker writes RBAC again.

Each condition reopens its alert once. Our own revoke trips none of them: it creates nothing, and it is judged by who
acted, never by an audit ID, which every client may choose.
"""

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from alerts.models import AccessObject, Activity, Alert, AuditEvent, Cluster, Watch
from alerts.services import workflow

RBAC_GROUP = "rbac.authorization.k8s.io"
KINDS = {
    "clusterroles": AccessObject.Kind.CLUSTER_ROLE,
    "roles": AccessObject.Kind.ROLE,
    "clusterrolebindings": AccessObject.Kind.CLUSTER_ROLE_BINDING,
    "rolebindings": AccessObject.Kind.ROLE_BINDING,
}
BINDING_KINDS = (AccessObject.Kind.CLUSTER_ROLE_BINDING, AccessObject.Kind.ROLE_BINDING)
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
DAYS = 30
LONGEST_DAYS = 365


def start(alert: Alert, *, by: User | None, days: int = DAYS) -> list[Watch]:
    """Watch for the alert's role, the bindings that refer to it, and the next RBAC write of its actor.

    What is watched already is watched until the later end; nothing is watched twice. `days` counts from now and is
    held between 1 and LONGEST_DAYS.
    """
    until = timezone.now() + timedelta(days=min(max(days, 1), LONGEST_DAYS))
    with transaction.atomic():
        fresh = Alert.objects.select_for_update().get(pk=alert.pk)
        watches = [_watch(alert, condition, target, until, by) for condition, target in _targets(alert)]
        Activity.objects.record(
            "watching", f"watches for a return until {until:%Y-%m-%d}", by=by, alert=alert, detail={"days": days}
        )
        _write_evidence(fresh)
    return watches


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


def notice(cluster: Cluster, row: AuditEvent) -> list[Alert]:
    """Trip the watches that this event makes true, and return the alerts concerned, reopened where they were closed.

    Belongs into the transaction that records the event.
    """
    kind = KINDS.get(row.resource)
    if row.group != RBAC_GROUP or kind is None or row.subresource or row.verb not in _WRITES or row.dry_run:
        return []
    waiting = Watch.objects.filter(alert__cluster=cluster, tripped_at=None, until__gte=row.at).select_related("alert")
    tripped = [watch for watch in waiting if _returned(watch, kind, row) or _wrote_again(watch, row)]
    for watch in tripped:
        _trip(watch, row)
    return list({watch.alert_id: watch.alert for watch in tripped}.values())


type _Target = tuple[str, str, str]


def _targets(alert: Alert) -> list[tuple[Watch.Condition, _Target]]:
    """Return what to watch: each condition with a kind, namespace and name."""
    found: list[tuple[Watch.Condition, _Target]] = []
    if alert.object is not None:
        objects = [alert.object, *_bindings(alert)]
        found += [(Watch.Condition.RETURNS, (each.kind, each.namespace, each.name)) for each in objects]
    if alert.actor:
        found.append((Watch.Condition.ACTOR_WRITES, ("", "", alert.actor)))
    return found


def _bindings(alert: Alert) -> list[AccessObject]:
    """Return the bindings that refer, or last referred, to the alert's role."""
    role = alert.object
    if role is None:
        return []
    candidates = AccessObject.objects.filter(cluster=alert.cluster, kind__in=BINDING_KINDS)
    if role.kind == AccessObject.Kind.ROLE:
        candidates = candidates.filter(namespace=role.namespace)
    referring = candidates.filter(
        versions__manifest__roleRef__kind=role.kind, versions__manifest__roleRef__name=role.name
    )
    return list(referring.distinct().order_by("kind", "namespace", "name"))


def _watch(alert: Alert, condition: Watch.Condition, target: _Target, until: datetime, by: User | None) -> Watch:
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


def evidence(alert: Alert) -> dict[str, Any]:
    """Return the evidence for the step: one line, and whether it tripped."""
    watches = list(alert.watches.all())
    running = [watch for watch in watches if watch.is_running()]
    tripped = [watch for watch in watches if watch.tripped_at is not None]
    chips = [["critical", "Tripped"]] if tripped else [["good", "Watching"]] if running else []
    if not running:
        return {"summary": "Reopens this alert if the role or its maker returns", "chips": chips}
    until = max(watch.until for watch in running)
    return {"summary": f"Reopens this alert if the role or its maker returns, until {until:%Y-%m-%d}", "chips": chips}


def _write_evidence(alert: Alert) -> None:
    """Keep how the watch stands as the evidence of the alert's step; the alert's row must be locked."""
    alert.evidence = alert.evidence | {"watch": evidence(alert)}
    alert.save(update_fields=["evidence"])


def told(watch: Watch) -> str:
    """Return what a watch that tripped saw, in one sentence."""
    if watch.condition == Watch.Condition.RETURNS:
        where = f"{watch.namespace}/" if watch.namespace else ""
        return f"{watch.kind} {where}{watch.name} returned"
    row = watch.tripped_by
    tried = "tried to write" if row is not None and row.code is not None and row.code >= 400 else "wrote"
    return f"{watch.name} {tried} RBAC again"
