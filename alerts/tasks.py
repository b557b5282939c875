"""The same in the background: each task takes ids and calls one service. This page is the whole pipeline."""

import logging
import time
from typing import Any

from celery import Task, shared_task
from kombu.exceptions import OperationalError

from alerts.models import Alert, Notification, Revocation
from alerts.services import delivery, inbox, intake, inventory, investigation, retention, revocation

logger = logging.getLogger(__name__)

_TURN_SECONDS = 60.0
_AT_ONCE = 4


def wake(task: Task[Any, Any], *args: object, after: float = 0) -> None:
    """Have a task run soon, or after some seconds. Where the broker cannot be reached, the sweep finds the row."""
    try:
        task.apply_async(args, countdown=after)
    except OperationalError:
        logger.warning("The broker could not be reached; %s waits for the sweep.", task.name)


@shared_task
def examine_inbox() -> None:
    """Examine what waits in the inbox, for a minute; what is left then is another run's."""
    end = time.monotonic() + _TURN_SECONDS
    while batches := inbox.claim(_AT_ONCE):
        for batch in batches:
            for alert in intake.examine(batch).opened:
                wake(investigate, alert.pk)
                wake(plan_revocation, alert.pk)
        if time.monotonic() > end:
            wake(examine_inbox)
            return


@shared_task
def investigate(alert_id: int) -> None:
    """Gather the evidence of one alert."""
    alert = Alert.objects.filter(pk=alert_id).first()
    if alert:
        investigation.gather(alert)


@shared_task
def refresh_inventory(cluster_id: int) -> None:
    """List one cluster's roles and bindings."""
    cluster = inventory.listable().filter(pk=cluster_id).first()
    if cluster:
        inventory.refresh(cluster)


@shared_task
def refresh_inventories() -> None:
    """Have every cluster listed that can be: what no event told shows there."""
    for cluster in inventory.listable():
        wake(refresh_inventory, cluster.pk)


@shared_task
def deliver(notification_id: int) -> None:
    """Send one message of the outbox."""
    notification = Notification.objects.filter(pk=notification_id).first()
    if notification:
        delivery.send(notification)


@shared_task
def plan_revocation(alert_id: int, mode: str = Revocation.Mode.REVOKE) -> None:
    """Plan and rehearse a revoke, so that it is ready when an analyst arrives."""
    alert = Alert.objects.select_related("cluster", "object").filter(pk=alert_id).first()
    if alert and revocation.wanted(alert, mode):
        revocation.plan(alert, mode)


@shared_task
def run_revocation(revocation_id: int) -> None:
    """Run a revoke whose grace is over; one that has to pause is tried again."""
    found = Revocation.objects.filter(pk=revocation_id).first()
    if found and revocation.run(found).state == Revocation.State.RUNNING:
        wake(run_revocation, revocation_id, after=revocation.PAUSE.total_seconds())


@shared_task
def purge() -> None:
    """Delete the stored batches that are past their time, or more than there is room for."""
    retention.purge()


@shared_task
def sweep() -> None:
    """Pick up whatever no wake-up reached."""
    if inbox.has_waiting():
        wake(examine_inbox)
    for cluster in inventory.never_listed():
        wake(refresh_inventory, cluster.pk)
    for alert_id in investigation.due():
        wake(investigate, alert_id)
    for alert in revocation.unplanned():
        wake(plan_revocation, alert.pk)
    for revocation_id in revocation.due():
        wake(run_revocation, revocation_id)
    for notification in delivery.due():
        wake(deliver, notification.pk)
