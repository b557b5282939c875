"""Opening alerts: the one place where a finding becomes an alert, with its checklist and its first activity."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.utils import timezone

from alerts import detections, playbook
from alerts.audit.visible import storable
from alerts.detections import Finding
from alerts.models import AccessObject, Activity, Alert, AuditEvent, Cluster, Step
from alerts.services import folding, inventory, workflow

# Until the evidence is gathered, some seconds later: in the middle of the queue.
_PROVISIONAL_SCORE = 50
_KNOWN_NOW = "what was there before is known now, and the change is none to look into."


def open_alert(
    cluster: Cluster, finding: Finding, row: AuditEvent | None = None, *, at: datetime | None = None
) -> tuple[Alert, bool]:
    """Open the alert of a finding, and return it and whether it is new; where its cause has one, that gains the event.

    `row` is the event it was found in, where there is one, and `at` when it happened, if not then. Belongs into the
    transaction that stores what causes it.
    """
    happened_at = row.at if row is not None else at or timezone.now()
    alert, new = Alert.objects.get_or_create(
        cluster=cluster, fingerprint=finding.fingerprint, defaults=_fields(cluster, finding, happened_at)
    )
    if not new:
        more = add_event(alert, row) if row is not None else _happened(alert, happened_at)
        _retitle(alert, storable(finding.title))
        if more and finding.recurring and not alert.is_open():
            workflow.reopen(alert, by=None, version=alert.version, reason="It happened again.")
        workflow.reinstate(alert, reason="What was there before is known better now.")
        return alert, False
    if row is not None:
        alert.events.add(row)
    Step.objects.bulk_create(Step(alert=alert, key=step.key) for step in playbook.STEPS)
    detail = {"event": row.sha256} if row is not None else {}
    Activity.objects.record("opened", "opened the alert", by=None, alert=alert, detail=detail)
    return alert, True


def _fields(cluster: Cluster, finding: Finding, happened_at: datetime) -> dict[str, Any]:
    """Return what a new alert says of its finding."""
    return {
        "detection": finding.detection,
        "title": storable(finding.title),
        "attempted": finding.attempted,
        # Asked only where there is no such alert yet.
        "object": partial(_object, cluster, finding),
        "object_uid": storable(finding.uid)[: inventory.LONGEST_IDENTITY],
        "actor": storable(finding.actor),
        "happened_at": happened_at,
        "historical": happened_at < timezone.now() - timedelta(hours=settings.HISTORY_HOURS),
        "score": _PROVISIONAL_SCORE,
        **folding.marks(finding.event, attempted=finding.attempted),
    }


def _object(cluster: Cluster, finding: Finding) -> AccessObject | None:
    """Return the role or binding that a finding is about, None where it is about none."""
    namespace, name = storable(finding.namespace), storable(finding.name)
    return AccessObject.named(cluster, finding.kind, namespace, name) if name and finding.kind else None


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
    locked = Alert.objects.select_for_update().only("happened_at").get(pk=alert.pk)
    Alert.objects.filter(pk=alert.pk).update(evidence_due=True, happened_at=min(locked.happened_at, at))
    return True


def _retitle(alert: Alert, title: str) -> None:
    """Say what happened as it is known now: what a change was from may have come later than the change."""
    if alert.title != title and not alert.attempted:
        Alert.objects.filter(pk=alert.pk).update(title=title, evidence_due=True)
