"""What must not happen again after an alert, and until when: `tripwire` tells what makes it true.

The role or a binding to it returns, somebody who held it is given something else, its maker writes RBAC again, or
something that was left behind returns.
"""

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from alerts.models import Activity, Alert, Watch
from alerts.services import grants

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
        write_evidence(fresh)
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
            write_evidence(fresh)
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
            write_evidence(Alert.objects.select_for_update().get(pk=watch.alert_id))


def watched_until(alert: Alert) -> datetime | None:
    """Return until when something is watched for the alert; None where nothing is."""
    return max((watch.until for watch in alert.watches.all() if watch.is_running()), default=None)


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


def write_evidence(alert: Alert) -> None:
    """Keep how the watch stands as the evidence of the alert's step; the alert's row must be locked."""
    alert.evidence = alert.evidence | {"watch": evidence(alert)}
    alert.save(update_fields=["evidence"])
