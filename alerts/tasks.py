"""The same in the background: each task takes ids and calls one service. This page is the whole pipeline."""

import logging
import time
from typing import Any

from celery import Task, current_app, shared_task
from kombu.exceptions import OperationalError

from alerts.models import Alert, Cluster, Mute, Notification, Restoration, Revocation
from alerts.services import (
    delivery,
    inbox,
    intake,
    investigation,
    listing,
    mutes,
    posture,
    reach,
    reconciliation,
    retention,
    revocation,
    stream,
)

logger = logging.getLogger(__name__)

_TURN_SECONDS = 60.0
_PREPARED_AT_ONCE = 50
_HEEDED_SECONDS = 60.0
_ANNOUNCED_EVERY_SECONDS = 0.1


def wake(task: Task[Any, Any], *args: object, after: float = 0) -> None:
    """Have a task run soon, or after some seconds. Where the broker cannot be reached, the sweep finds the row.

    A wake-up that nobody heeded for a minute is forgotten, since the sweep has sent others: a backlog is in the rows,
    and never in the broker, where it would keep what is urgent waiting.
    """
    try:
        task.apply_async(args, countdown=after, expires=after + _HEEDED_SECONDS)
    except OperationalError:
        logger.warning("The broker could not be reached; %s waits for the sweep.", task.name)


class _Announcements:
    """Wake-ups for the inbox, spared where one lies ahead: it is for all that is stored until then."""

    def __init__(self) -> None:
        self._latest = -_ANNOUNCED_EVERY_SECONDS

    def send(self) -> None:
        """Have the inbox examined now, or where that was asked for just before, when it has been a while."""
        now = time.monotonic()
        if now >= self._latest:
            after = max(0.0, self._latest + _ANNOUNCED_EVERY_SECONDS - now)
            self._latest = now + after
            wake(examine_inbox, after=after)


_announcements = _Announcements()


def announce_batch() -> None:
    """Have a batch examined that is stored: by a wake-up at once, or a shared one in a tenth of a second."""
    _announcements.send()


def announce_refusal(alert: Alert) -> None:
    """Have an alert on refused batches investigated, and its cluster listed: what they told of shows there."""
    wake(investigate, alert.pk)
    wake(refresh_inventory, alert.cluster_id)


def has_broker() -> bool:
    """Tell whether the broker answers."""
    try:
        with current_app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=2)
    except OperationalError:
        return False
    return True


@shared_task
def examine_inbox() -> None:
    """Examine what waits in the inbox, for a minute; what is left then is another run's.

    Of many alerts that one batch opened most are left to the sweep, which has everybody's in turn.
    """
    end = time.monotonic() + _TURN_SECONDS
    while batches := inbox.claim(intake.AT_ONCE):
        for outcome in intake.examine_all(batches):
            for notification in outcome.told:
                wake(deliver, notification.pk)
            for alert in outcome.opened[:_PREPARED_AT_ONCE]:
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
def investigate_due(alert_id: int) -> None:
    """Gather the evidence of one alert, unless that was done while this waited."""
    alert = Alert.objects.filter(pk=alert_id).first()
    if alert and investigation.is_due(alert):
        investigation.gather(alert)


@shared_task
def refresh_inventory(cluster_id: int) -> None:
    """List one cluster's roles and bindings, and look at its posture as it then stands."""
    cluster = listing.listable().filter(pk=cluster_id).first()
    if cluster and listing.refresh(cluster):
        posture.review(cluster)
        wake(reconcile, cluster_id)


@shared_task
def reconcile(cluster_id: int) -> None:
    """Look for the audit event behind everything that only a listing of a cluster showed."""
    cluster = Cluster.objects.filter(pk=cluster_id).first()
    if cluster:
        for alert in reconciliation.reconcile(cluster):
            wake(investigate, alert.pk)
            wake(plan_revocation, alert.pk)


@shared_task
def send_canary(cluster_id: int) -> None:
    """Send a request to one cluster whose audit event has to come back."""
    cluster = listing.listable().filter(pk=cluster_id).first()
    if cluster:
        stream.send_canary(cluster)


@shared_task
def judge_stream(cluster_id: int) -> None:
    """Look whether one cluster's events still arrive, and whether it can still be asked for what they lack."""
    cluster = Cluster.objects.filter(pk=cluster_id).first()
    if cluster:
        for alert in filter(None, (stream.judge(cluster), reach.judge(cluster))):
            wake(investigate, alert.pk)


@shared_task
def watch_streams() -> None:
    """Have a canary sent to every cluster that can be asked, and every stream judged."""
    for cluster in listing.listable():
        wake(send_canary, cluster.pk)
    for cluster_id in stream.streams():
        wake(judge_stream, cluster_id)


@shared_task
def refresh_inventories() -> None:
    """Have every cluster listed that can be: what no event told shows there."""
    for cluster in listing.listable():
        wake(refresh_inventory, cluster.pk)


@shared_task
def deliver(notification_id: int) -> None:
    """Send one message of the outbox."""
    notification = Notification.objects.filter(pk=notification_id).first()
    if notification:
        delivery.send(notification)


@shared_task
def plan_revocation(alert_id: int, mode: str = Revocation.Mode.REVOKE) -> None:
    """Plan and rehearse a revoke, so that a fresh plan is ready when an analyst arrives."""
    alert = Alert.objects.select_related("cluster", "object").filter(pk=alert_id).first()
    if alert and revocation.renewable(alert, mode):
        revocation.plan(alert, mode)


@shared_task
def run_revocation(revocation_id: int) -> None:
    """Run a revoke whose grace is over; one that has to pause is tried again."""
    found = Revocation.objects.filter(pk=revocation_id).first()
    if found is None:
        return
    ended = revocation.run(found)
    if ended.state == Revocation.State.RUNNING:
        wake(run_revocation, revocation_id, after=revocation.PAUSE.total_seconds())
    elif ended.state in {Revocation.State.PARTLY, Revocation.State.FAILED}:
        wake(plan_revocation, ended.alert_id, ended.mode)


@shared_task
def undo_revocation(restoration_id: int) -> None:
    """Put back what a revoke took away; where the cluster does not answer, the sweep tries again."""
    found = Restoration.objects.filter(pk=restoration_id).first()
    if found:
        revocation.put_back(found)


@shared_task
def apply_mute(mute_id: int) -> None:
    """Mute the open alerts that a new mute fits."""
    mute = Mute.objects.running().filter(pk=mute_id).first()
    if mute:
        mutes.apply(mute)


@shared_task
def purge() -> None:
    """Delete the stored batches that are past their time, or more than there is room for."""
    retention.purge()


@shared_task
def sweep() -> None:
    """Pick up whatever no wake-up reached."""
    if inbox.has_waiting():
        wake(examine_inbox)
    for cluster in listing.never_listed():
        wake(refresh_inventory, cluster.pk)
    for cluster_id in reconciliation.due():
        wake(reconcile, cluster_id)
    for alert_id in investigation.due():
        wake(investigate_due, alert_id)
    for mute_id in mutes.unapplied():
        wake(apply_mute, mute_id)
    revocation.withdraw_unapproved()
    for alert in revocation.unready():
        wake(plan_revocation, alert.pk)
    for revocation_id in revocation.due():
        wake(run_revocation, revocation_id)
    for restoration_id in revocation.undos_due():
        wake(undo_revocation, restoration_id)
    for notification in delivery.due():
        wake(deliver, notification.pk)
