"""Can a cluster still be asked? Without, no canary proves its stream, and no listing shows what no event tells."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from alerts.detections import cluster_out_of_reach
from alerts.models import Activity, Alert, Cluster
from alerts.services import alarm


def note(cluster: Cluster, **problems: str) -> None:
    """Note why a cluster could not be asked (`canary_error`) or listed (`inventory_error`) just now; "" for none.

    Once both work again, its open alert is told of that.
    """
    changed = any(getattr(cluster, name) != problem for name, problem in problems.items())
    if not changed and (cluster.unasked_since is None) == (_problem(cluster) == ""):
        return
    with transaction.atomic():
        fresh = Cluster.objects.select_for_update().get(pk=cluster.pk)
        since = fresh.unasked_since
        for each in (fresh, cluster):
            for name, problem in problems.items():
                setattr(each, name, problem)
        fresh.unasked_since = (since or timezone.now()) if _problem(fresh) else None
        fresh.save(update_fields=[*problems, "unasked_since"])
        if since is not None and fresh.unasked_since is None:
            _tell_open(cluster)
    cluster.unasked_since = fresh.unasked_since


def _problem(cluster: Cluster) -> str:
    """Return why a cluster cannot be asked or, where it ever was, listed; "" where it can."""
    return cluster.canary_error or (cluster.inventory_error if cluster.inventory_at else "")


def judge(cluster: Cluster) -> Alert | None:
    """Open an alert where a cluster that could be asked cannot be for too long, and return it if it is new."""
    since, could = cluster.unasked_since, cluster.inventory_at is not None or cluster.canaries.exists()
    if since is None or not could or not (cluster.api_address and cluster.readable):
        return None
    if not cluster_out_of_reach.is_lasting(since, timezone.now(), timedelta(seconds=settings.SILENCE_SECONDS)):
        return None
    finding = cluster_out_of_reach.finding(cluster.name, since, unlisted_only=not cluster.canary_error)
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
