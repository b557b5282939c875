"""Opening alerts: the one place where a finding becomes an alert, with its checklist and its first activity."""

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.utils import timezone

from alerts import detections, playbook
from alerts.audit.visible import storable
from alerts.detections import Finding
from alerts.models import AccessObject, Activity, Alert, AuditEvent, Cluster, Step
from alerts.models.access import Name
from alerts.services import folding, inventory, workflow
from alerts.services.holding import Holding

# Until the evidence is gathered, some seconds later: in the middle of the queue.
_PROVISIONAL_SCORE = 50
_KNOWN_NOW = "what was there before is known now, and the change is none to look into."


class Found(NamedTuple):
    """A finding, the event it was found in, and when we received that."""

    finding: Finding
    row: AuditEvent
    received_at: datetime


def open_alert(
    cluster: Cluster,
    finding: Finding,
    row: AuditEvent | None = None,
    *,
    at: datetime | None = None,
    received_at: datetime | None = None,
) -> tuple[Alert, bool]:
    """Open the alert of a finding, and return it and whether it is new; where its cause has one, that gains the event.

    `row` is the event it was found in, where there is one, `at` when it happened, if not then, and `received_at` when
    we heard of it, if not now. Belongs into the transaction that stores what causes it.
    """
    happened_at = row.at if row is not None else at or timezone.now()
    # The object is asked for only where there is no such alert yet.
    fields = _fields(finding, happened_at, received_at or timezone.now())
    fields["object"] = partial(_object, cluster, finding)
    alert, new = Alert.objects.get_or_create(cluster=cluster, fingerprint=finding.fingerprint, defaults=fields)
    if not new:
        more = add_event(alert, row) if row is not None else _happened(alert, happened_at)
        _retitle(alert, storable(finding.title))
        again = workflow.reinstate(alert, reason="What was there before is known better now.")
        if more and finding.recurring and not (again or alert.is_open()):
            workflow.reopen(alert, by=None, version=alert.version, reason="It happened again.")
        return alert, False
    _begin([(alert, row)])
    return alert, True


def hold(cluster: Cluster, *, keys: Set[int], fingerprints: Set[str], objects: Set[int]) -> None:
    """Hold the alerts of these keys, of these causes and on these objects until the transaction is over, in one order.

    Events of a transaction touch alerts in any order, and so would one worker wait for an alert that another holds.
    """
    # SQLite knows one writer only.
    if connection.features.has_select_for_update and (keys or fingerprints or objects):
        touched = Q(pk__in=keys) | Q(fingerprint__in=fingerprints) | Q(object__in=objects)
        held = Alert.objects.filter(touched, cluster=cluster).order_by("pk").select_for_update(no_key=True)
        list(held.values_list("pk"))


def open_all(cluster: Cluster, found: Sequence[Found], held: Holding) -> list[Alert]:
    """Open the alerts of findings in events as if one came after the other, and return those that are new.

    Those about objects that are held come first, in the order of their events. Of the others somebody else may open the
    same at the same time: they come in an order of their own, in which no two wait for each other.
    """
    if not found:
        return []
    found = sorted(found, key=lambda each: "" if held.get(_name(each.finding)) else each.finding.fingerprint)
    first: dict[str, Found] = {}
    for each in found:
        first.setdefault(each.finding.fingerprint, each)
    there = Alert.objects.filter(cluster=cluster, fingerprint__in=first).values_list("fingerprint", flat=True)
    for fingerprint in list(there):
        del first[fingerprint]
    try:
        with transaction.atomic():
            opened = _opened(cluster, first, held)
    except IntegrityError:
        # Somebody else opened one just now.
        first, opened = {}, []
    rest = [each for each in found if first.get(each.finding.fingerprint) is not each]
    again = [open_alert(cluster, each.finding, each.row, received_at=each.received_at) for each in rest]
    return opened + [alert for alert, new in again if new]


def _opened(cluster: Cluster, found: Mapping[str, Found], held: Holding) -> list[Alert]:
    """Open alerts that are not there yet, by their fingerprints."""
    alerts = [
        Alert(
            cluster=cluster,
            fingerprint=fingerprint,
            object=held.get(_name(each.finding)) or _object(cluster, each.finding),
            **_fields(each.finding, each.row.at, each.received_at),
        )
        for fingerprint, each in found.items()
    ]
    Alert.objects.bulk_create(alerts)
    _begin([(alert, each.row) for alert, each in zip(alerts, found.values(), strict=True)])
    return alerts


def _begin(opened: Sequence[tuple[Alert, AuditEvent | None]]) -> None:
    """Give new alerts the events they were found in, their checklists, and their first activities."""
    put = Alert.events.through
    put.objects.bulk_create(put(alert=alert, auditevent=row) for alert, row in opened if row is not None)
    Step.objects.bulk_create(Step(alert=alert, key=step.key) for alert, _ in opened for step in playbook.STEPS)
    details = {alert: {"event": row.sha256} if row is not None else {} for alert, row in opened}
    Activity.objects.begin("opened", "opened the alert", by=None, details=details)


def _fields(finding: Finding, happened_at: datetime, received_at: datetime) -> dict[str, Any]:
    """Return what a new alert says of its finding, its object aside."""
    return {
        "detection": finding.detection,
        "title": storable(finding.title),
        "attempted": finding.attempted,
        "object_uid": storable(finding.uid)[: inventory.LONGEST_IDENTITY],
        "actor": storable(finding.actor),
        "happened_at": happened_at,
        # However long it waited here: that was ours, and nobody saw it yet.
        "historical": happened_at < received_at - timedelta(hours=settings.HISTORY_HOURS),
        "score": _PROVISIONAL_SCORE,
        **folding.marks(finding.event, attempted=finding.attempted),
    }


def _object(cluster: Cluster, finding: Finding) -> AccessObject | None:
    """Return the role or binding that a finding is about, None where it is about none."""
    kind, namespace, name = _name(finding)
    return AccessObject.named(cluster, kind, namespace, name) if name and kind else None


def _name(finding: Finding) -> Name:
    return finding.kind, storable(finding.namespace), storable(finding.name)


def add_event(alert: Alert, row: AuditEvent) -> bool:
    """Have an alert gain an event, and its evidence gathered again; return whether it was new to the alert."""
    if alert.events.filter(pk=row.pk).exists():
        return False
    alert.events.add(row)
    return _happened(alert, row.at)


def withdraw_all_but(findings: Iterable[Finding], row: AuditEvent, named: AccessObject) -> None:
    """Withdraw the alerts on how an event changed an object that are none of these findings, now that more is known.

    Belongs into the transaction that records what became known.
    """
    alerts = Alert.objects.filter(
        cluster=row.cluster, object=named, detection__in=detections.JUDGED_BY_CHANGE, events=row, happened_at=row.at
    )
    for alert in alerts.exclude(fingerprint__in=[each.fingerprint for each in findings]):
        workflow.withdraw(alert, reason=_KNOWN_NOW)


def _happened(alert: Alert, at: datetime) -> bool:
    locked = Alert.objects.select_for_update(no_key=True).only("happened_at").get(pk=alert.pk)
    Alert.objects.filter(pk=alert.pk).update(evidence_due=True, happened_at=min(locked.happened_at, at))
    return True


def _retitle(alert: Alert, title: str) -> None:
    """Say what happened as it is known now: what a change was from may have come later than the change."""
    if alert.title != title and not alert.attempted:
        Alert.objects.filter(pk=alert.pk).update(title=title, evidence_due=True)
