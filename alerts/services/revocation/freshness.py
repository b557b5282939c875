"""Whether the plan of an alert still fits its cluster, and which plans to make again before anybody asks."""

from datetime import timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from alerts.models import AccessVersion, Alert, Restoration, Revocation
from alerts.services.revocation.attempt import AUDIT_ID

RETRY = timedelta(minutes=1)
# Plans of the alerts at the top of the queue are kept fresh; others are made again when the alert is opened.
KEPT_FRESH = 20
# So many of those that have none are planned in one go, and so many looked at whose role or bindings changed.
NEW_AT_ONCE, CHANGED_AT_ONCE = 50, 200
# A plan is renewed before it expires, so that whoever looks at it never waits.
_MARGIN = timedelta(minutes=2)
# How far back the sweep looks for changes; older ones are noticed when the alert is opened.
_RECENTLY = timedelta(minutes=15)
State = Revocation.State


def current(alert: Alert, mode: str = Revocation.Mode.REVOKE) -> Revocation | None:
    """Return what counts now: what waits, is about to run or running; else the newest plan or run of that mode."""
    rows = alert.revocations.like(mode)
    active = rows.active().first()
    return active or rows.filter(mode=mode).exclude(state=State.STALE).order_by("-pk").first()


def finished(alert: Alert, mode: str = Revocation.Mode.REVOKE) -> Revocation | None:
    """Return the newest revoke that was run to an end, or with REMOVE the newest removal; None where there is none."""
    ended = [State.DONE, State.PARTLY, State.FAILED]
    return alert.revocations.like(mode).filter(state__in=ended).order_by("-pk").first()


def plannable(alert: Alert) -> bool:
    """Tell whether there is anything that a plan could take away."""
    return alert.object is not None and not alert.attempted


def wanted(alert: Alert, mode: str = Revocation.Mode.REVOKE) -> bool:
    """Tell whether a page that is opened now should have a new plan made in the background."""
    return _wanted(alert, mode, early=timedelta(0))


def renewable(alert: Alert, mode: str = Revocation.Mode.REVOKE) -> bool:
    """Tell whether a plan should be made now so that one is ready: it is wanted, or will be within minutes."""
    return _wanted(alert, mode, early=_MARGIN)


def unready() -> list[Alert]:
    """Return the open alerts whose plan should be made before anybody asks for it.

    Those for which nothing was ever planned, those whose role or bindings changed a short while ago, and the first of
    the queue whose plan is about to expire or whose run ended short of everything. Of many, the gravest and newest.
    """
    waiting = Alert.objects.open().filter(object__isnull=False, attempted=False).select_related("cluster", "object")
    first = waiting.exclude(revocations=None).order_by("-score", "-pk")[:KEPT_FRESH]
    never = waiting.filter(revocations=None).order_by("-score", "-pk")[:NEW_AT_ONCE]
    changed = _touched(waiting).order_by("-score", "-pk")[:CHANGED_AT_ONCE]
    found = {alert.pk: alert for alert in never}
    found |= {alert.pk: alert for alert in first if _reachable(alert) and renewable(alert)}
    found |= {alert.pk: alert for alert in changed if wanted(alert)}
    return list(found.values())


def _wanted(alert: Alert, mode: str, *, early: timedelta) -> bool:
    # What was left behind goes only as far as somebody chose it.
    if mode == Revocation.Mode.REMOVE or not plannable(alert) or not alert.is_open():
        return False
    newest = current(alert, mode)
    if newest is None:
        return True
    if newest.is_active():
        return False
    if newest.state == State.DONE:
        return newest.restorations.filter(state__in=[Restoration.State.DONE, Restoration.State.PARTLY]).exists()
    if newest.state not in {State.PLANNED, State.REFUSED}:
        return True
    failed = newest.error and not newest.effects.get("gone")
    until = newest.planned_at + RETRY if failed else newest.valid_until - early
    return timezone.now() >= until or _changed_since(alert, newest)


def _reachable(alert: Alert) -> bool:
    """Tell whether planning again by itself could tell more: without a connection only an event can."""
    return bool(alert.cluster.api_address) and (alert.cluster.readable or alert.cluster.revocable)


def _touched(waiting: QuerySet[Alert]) -> QuerySet[Alert]:
    """Keep the alerts whose role, or a binding to a role of that name, an event changed recently."""
    changed = AccessVersion.objects.filter(source="event", at__gt=timezone.now() - _RECENTLY).values("object")
    # The version that says a binding is gone no longer says to which role it referred.
    referring = AccessVersion.objects.filter(object__in=changed, manifest__roleRef__name__isnull=False)
    named = {str(name) for name in referring.values_list("manifest__roleRef__name", flat=True)}
    return waiting.filter(Q(object__in=changed) | Q(object__name__in=named)).exclude(revocations=None)


def _changed_since(alert: Alert, newest: Revocation) -> bool:
    """Tell whether the role or a binding to it changed since the plan, as far as audit events tell."""
    about = alert.object
    later = AccessVersion.objects.filter(object__cluster=alert.cluster, source="event", at__gt=newest.planned_at)
    concerned = Q(object=about) | (Q(object__versions__manifest__roleRef__name=about.name) if about else Q())
    # Below level Request our own rehearsal looks like a deletion. Anybody can choose its Audit-ID, but not our name.
    ours = Q(event__audit_id__startswith=AUDIT_ID, event__username=newest.effects.get("ourselves") or None)
    return later.filter(concerned).exclude(ours).exists()
