"""Is a cluster's audit stream alive? A canary proves it; without one, silence is held against the usual rate."""

import secrets
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from alerts.audit.event import Event
from alerts.cluster.errors import ClusterError
from alerts.detections import audit_stream_silent
from alerts.detections.audit_stream_silent import Silence
from alerts.models import Activity, Alert, Batch, Canary, Cluster
from alerts.rbac import Request
from alerts.services import alarm, connection, reach

AUDIT_ID = "rolecall-canary-"
# What is asked: whether we may do something that nobody may want to. The answer does not matter, the event does.
_QUESTION = Request("get", "rbac.authorization.k8s.io", "clusterroles", name="rolecall-canary")
_KEPT = timedelta(days=1)
_ARRIVALS = 500


def canary_limit() -> timedelta:
    """Return how long a canary's event may take."""
    return timedelta(seconds=settings.CANARY_SECONDS)


def silence_limit() -> timedelta:
    """Return for how long a cluster may send nothing, whatever its usual rate."""
    return timedelta(seconds=settings.SILENCE_SECONDS)


def send_canary(cluster: Cluster) -> Canary | None:
    """Ask the cluster a harmless question under an audit ID that nobody can guess; None where that was not possible.

    It is a SelfSubjectAccessReview, which every account may create (system:basic-user) and which is not stored. Why it
    could not be sent is kept in Cluster.canary_error.
    """
    canary = Canary(cluster=cluster, audit_id=f"{AUDIT_ID}{secrets.token_hex(16)}", sent_at=timezone.now())
    # Stored before it is sent: its event may be here before the answer.
    canary.save()
    problem = ""
    try:
        with connection.connect(cluster) as api:
            api.may(_QUESTION, audit_id=canary.audit_id)
    except (connection.NotConnected, ClusterError) as error:
        problem = str(error)
        Canary.objects.filter(pk=canary.pk, seen_at=None).delete()
    reach.note(cluster, canary_error=problem)
    _forget(cluster)
    return None if problem else canary


def _forget(cluster: Cluster) -> None:
    """Remove old canaries, but not the last one that was heard: it proves that they are recorded."""
    last = cluster.canaries.filter(seen_at__isnull=False).order_by("-sent_at").first()
    until = timezone.now() - _KEPT
    if last is not None:
        until = min(until, last.sent_at)
    cluster.canaries.filter(sent_at__lt=until).delete()


def canaries(events: Iterable[Event]) -> Iterator[str]:
    """Yield the audit ids among those of events that are a canary's, or look like one."""
    return (event.audit_id for event in events if event.audit_id.startswith(AUDIT_ID))


def hear(cluster: Cluster, heard: Collection[str]) -> None:
    """Note the canaries of these audit ids, which just came. Belongs into the transaction that records their events."""
    if heard:
        Canary.objects.filter(cluster=cluster, audit_id__in=heard, seen_at=None).update(seen_at=timezone.now())


def streams() -> list[int]:
    """Return the keys of the clusters whose streams are to be judged: those that ever sent something."""
    return list(Cluster.objects.filter(last_event_at__isnull=False).values_list("pk", flat=True))


def judge(cluster: Cluster) -> Alert | None:
    """Open an alert where the stream fell silent, and return it; note on it when the stream is back."""
    silence = _silence(cluster)
    if (silence is None) == (cluster.silent_since is None):
        return None
    with transaction.atomic():
        fresh = Cluster.objects.select_for_update().get(pk=cluster.pk)
        if fresh.silent_since != cluster.silent_since:
            return None
        if silence is None:
            _back(fresh)
            return None
        fresh.silent_since = silence.since
        fresh.save(update_fields=["silent_since"])
        return _open(fresh, silence)


def _silence(cluster: Cluster) -> Silence | None:
    now = timezone.now()
    if cluster.last_batch_at is None or cluster.last_event_at is None:
        # It never sent anything: it waits for its first event.
        return None
    canaries = [
        audit_stream_silent.Canary(sent_at, seen_at)
        for sent_at, seen_at in cluster.canaries.values_list("sent_at", "seen_at")
    ]
    silence = audit_stream_silent.silence(
        now, canaries, _arrivals(cluster, now), canary_limit=canary_limit(), limit=silence_limit()
    )
    return None if silence is None or _unread(cluster, silence.since + canary_limit()) else silence


def _arrivals(cluster: Cluster, now: datetime) -> list[datetime]:
    """Return when the newest batches came; nothing needs looking up while they keep coming."""
    if cluster.last_batch_at is None or now - cluster.last_batch_at <= silence_limit():
        return []
    newest = cluster.batches.order_by("-received_at").values_list("received_at", flat=True)
    return [*newest[:_ARRIVALS], cluster.last_batch_at]


def _unread(cluster: Cluster, until: datetime) -> bool:
    """Tell whether a batch from before that time still waits: what is missed may be in it."""
    waiting = cluster.batches.filter(state__in=Batch.UNEXAMINED)
    return waiting.filter(received_at__lte=until).exists()


def _open(cluster: Cluster, silence: Silence) -> Alert | None:
    """Open the alert, unless one of this cluster is open already, which is told instead."""
    running = _open_alert(cluster)
    if running is not None:
        _tell(running, "silent", f"found the stream silent again, since {_utc(silence.since)}")
        return None
    alert, new = alarm.open_alert(cluster, audit_stream_silent.finding(cluster.name, silence), at=silence.since)
    return alert if new else None


def _back(cluster: Cluster) -> None:
    since, cluster.silent_since = cluster.silent_since, None
    cluster.save(update_fields=["silent_since"])
    alert = _open_alert(cluster)
    if alert is not None and since is not None:
        summary = f"found the stream alive again; what happened since {_utc(since)} may not have been recorded"
        _tell(alert, "alive", summary)


def _open_alert(cluster: Cluster) -> Alert | None:
    found = Alert.objects.open().filter(cluster=cluster, detection=audit_stream_silent.NAME)
    return found.order_by("-pk").first()


def _tell(alert: Alert, kind: str, summary: str) -> None:
    Activity.objects.record(kind, summary, by=None, alert=alert)
    Alert.objects.filter(pk=alert.pk).update(evidence_due=True)


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
