"""What the hook refused, such as a body above HOOK_BODY_LIMIT: its sender gives it up, and nobody knows what was in it.

Anybody who reaches an API server can make such a batch: an event is as large as its request's headers.
"""

from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from alerts.detections import audit_data_damaged
from alerts.models import Activity, Alert, Cluster
from alerts.services import alarm

_KIND = "refused"
# An API server posts a batch five times in 90 seconds, and refused ones may come by the hundred.
_TOLD_APART = timedelta(minutes=5)


def record(cluster: Cluster, size: str, why: str) -> Alert | None:
    """Open the day's alert on what a cluster's API server lost, or note on it what was refused, and return it.

    None where that was noted some minutes ago, and nobody closed the alert since.
    """
    now = timezone.now()
    finding = audit_data_damaged.refused(now, size)
    with transaction.atomic():
        same = Alert.objects.filter(cluster=cluster, fingerprint=finding.fingerprint)
        known = same.select_for_update(no_key=True).first()
        if known is not None and known.is_open() and told(known).filter(at__gt=now - _TOLD_APART).exists():
            return None
        alert, _ = alarm.open_alert(cluster, finding, at=now)
        Activity.objects.record(_KIND, f"refused a batch: {why}", by=None, alert=alert)
    return alert


def told(alert: Alert) -> QuerySet[Activity]:
    """Return what was noted of refused batches on an alert, the newest first."""
    return alert.activities.filter(kind=_KIND).order_by("-pk")
