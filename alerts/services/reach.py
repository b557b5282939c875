"""Can a cluster still be asked? Without, no canary proves its stream, and no listing shows what no event tells."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from alerts.detections import cluster_out_of_reach
from alerts.models import Activity, Alert, Cluster
from alerts.services import alarm


def note(cluster: Cluster, problem: str) -> None:
    """Note why a cluster could not be asked just now, or with "" that it could, and tell its open alert of that."""
    since = (cluster.unasked_since or timezone.now()) if problem else None
    if (problem, since) == (cluster.canary_error, cluster.unasked_since):
        return
    with transaction.atomic():
        fresh = Cluster.objects.select_for_update().get(pk=cluster.pk)
        Cluster.objects.filter(pk=cluster.pk).update(canary_error=problem, unasked_since=since)
        if fresh.unasked_since is not None and since is None:
            _tell_open(cluster)
    cluster.canary_error, cluster.unasked_since = problem, since


def judge(cluster: Cluster) -> Alert | None:
    """Open an alert where a cluster that could be asked cannot be for too long, and return it if it is new."""
    since, could = cluster.unasked_since, cluster.inventory_at is not None or cluster.canaries.exists()
    if since is None or not could:
        return None
    if not cluster_out_of_reach.is_lasting(since, timezone.now(), timedelta(seconds=settings.SILENCE_SECONDS)):
        return None
    finding = cluster_out_of_reach.finding(cluster.name, since)
    if Alert.objects.filter(cluster=cluster, fingerprint=finding.fingerprint).exists():
        return None
    with transaction.atomic():
        alert, new = alarm.open_alert(cluster, finding, at=since)
    return alert if new else None


def _tell_open(cluster: Cluster) -> None:
    found = Alert.objects.open().filter(cluster=cluster, detection=cluster_out_of_reach.NAME)
    for alert in found:
        Activity.objects.record("alive", "could ask the cluster again", by=None, alert=alert)
    found.update(evidence_due=True)
