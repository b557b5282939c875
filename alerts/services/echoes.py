"""What the aggregation controller writes, put to the alert about the role whose rules it hands on: its effect.

The controller writes within seconds of its cause, and events come in any order: so both are looked for from both ends.
"""

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import QuerySet

from alerts import rbac
from alerts.audit.event import RBAC_GROUP
from alerts.detections.writes import AGGREGATION_CONTROLLER, CONTROLLER_MANAGER
from alerts.models import AccessObject, Alert, AuditEvent, Cluster
from alerts.services.knowledge import Knowledge

FOLLOWS = timedelta(minutes=1)
_CAUSES = ("cluster_role_created", "role_widened", "role_aggregated", "role_deleted")


def attribute(cluster: Cluster, rows: Iterable[AuditEvent], opened: Iterable[Alert], known: Knowledge) -> None:
    """Put the controller's writes near these events and alerts to the alerts that caused them.

    Belongs into the transaction that records both.
    """
    times = [row.at for row in rows if is_echo(row)]
    times += [alert.happened_at for alert in opened if alert.detection in _CAUSES and not alert.attempted]
    if not times:
        return
    since, until = min(times) - FOLLOWS, max(times) + FOLLOWS
    found = [row for row in _written(cluster).filter(at__range=(since, until)) if is_echo(row)]
    if not found:
        return
    causes = Alert.objects.filter(cluster=cluster, detection__in=_CAUSES, attempted=False, object__kind="ClusterRole")
    for alert in causes.filter(happened_at__range=(since, until)).select_related("object"):
        fed = _fed(alert, known.access())
        near = (row for row in found if timedelta() <= row.at - alert.happened_at <= FOLLOWS)
        alert.events.add(*(row for row in near if row.name in fed))


def is_echo(row: AuditEvent) -> bool:
    """Tell whether a kept event is the controller's write of an aggregated role."""
    answer = row.body.get("responseObject")
    return (
        row.group == RBAC_GROUP
        and (row.resource, row.subresource, row.impersonated) == ("clusterroles", "", None)
        and row.username in {AGGREGATION_CONTROLLER, CONTROLLER_MANAGER}
        and row.verb in {"update", "patch"}
        and row.code == 200
        and (not isinstance(answer, dict) or bool(answer.get("aggregationRule")))
    )


def _written(cluster: Cluster) -> QuerySet[AuditEvent]:
    return cluster.audit_events.filter(
        username__in=[AGGREGATION_CONTROLLER, CONTROLLER_MANAGER], resource="clusterroles"
    )


def _fed(alert: Alert, access: rbac.Access) -> set[str]:
    """Return the names of the roles that the alert's role feeds, or did as it last stood."""
    role: AccessObject | None = alert.object
    if role is None:
        return set()
    ref = rbac.RoleRef(role.kind, role.name)
    last = role.versions.filter(deletion=False, manifest__isnull=False).order_by("-at", "-pk").first()
    labels = ((last.manifest or {}).get("metadata") or {}).get("labels") if last else None
    return {target.name for target in access.aggregates(ref, labels if isinstance(labels, dict) else {})}
