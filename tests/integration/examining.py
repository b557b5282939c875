"""Having batches examined, and all that is left behind then."""

from typing import Any

from alerts.lifecycle import Status
from alerts.models import AccessVersion, Activity, Alert, Cluster, Step
from alerts.services import inbox, intake
from alerts.services.intake import Outcome
from tests.conftest import RECORDINGS


def take_in(cluster: Cluster, body: bytes) -> Outcome:
    batch, ours = inbox.store_leased(cluster, body)
    assert ours
    outcome = intake.examine(batch)
    assert not outcome.error
    return outcome


def recording(name: str) -> bytes:
    return (RECORDINGS / f"{name}.jsonl").read_bytes()


def remembered(cluster: Cluster) -> dict[str, Any]:
    """Return everything that examining leaves behind, without keys, our own clock, and alerts that were withdrawn."""
    alerts = Alert.objects.filter(cluster=cluster).exclude(status=Status.CLOSED, activities__kind="withdrawn")
    versions = AccessVersion.objects.filter(object__cluster=cluster)
    return {
        "alerts": sorted(
            alerts.values_list(
                "fingerprint", "title", "attempted", "actor", "object__name", "object_uid", "happened_at"
            ),
            key=str,
        ),
        "events of alerts": sorted(alerts.values_list("fingerprint", "events__sha256")),
        "events": sorted(cluster.audit_events.values_list("sha256", flat=True)),
        "versions": sorted(
            versions.values_list(
                "object__digest", "source", "at", "uid", "resource_version", "deletion", "event__sha256"
            ),
            key=str,
        ),
        "objects": sorted(cluster.access_objects.values_list("digest", "deleted_at"), key=str),
        "damaged": sorted(cluster.damaged_items.values_list("sha256", "reason")),
        "steps": sorted(Step.objects.filter(alert__in=alerts).values_list("alert__fingerprint", "key")),
        "opened": Activity.objects.filter(kind="opened", alert__in=alerts).count(),
        "batches": sorted(cluster.batches.values_list("sha256", "state", "event_count", "damaged_count", "mentions")),
    }
