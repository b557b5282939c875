"""What the aggregation controller writes, put to the alert about the role whose rules it hands on: its effect.

The controller writes within seconds of its cause, and events come in any order: so both are looked for from both ends.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from alerts import rbac
from alerts.audit.event import RBAC_GROUP
from alerts.detections.writes import AGGREGATION_CONTROLLER, CONTROLLER_MANAGER
from alerts.models import AccessVersion, Alert, AuditEvent, Cluster
from alerts.services import inventory

FOLLOWS = timedelta(minutes=1)
_CONTROLLERS = (AGGREGATION_CONTROLLER, CONTROLLER_MANAGER)
_VERBS = ("update", "patch")
_CAUSES = ("cluster_role_created", "role_widened", "role_aggregated", "role_deleted")


def attribute(cluster: Cluster, rows: Iterable[AuditEvent], opened: Iterable[Alert]) -> None:
    """Put the controller's writes near these events and alerts to the alerts that caused them.

    Belongs into the transaction that records both.
    """
    times = [row.at for row in rows if is_echo(row)]
    times += [alert.happened_at for alert in opened if alert.detection in _CAUSES and not alert.attempted]
    if not times:
        return
    near = (min(times) - FOLLOWS, max(times) + FOLLOWS)
    written = list(_written(cluster).filter(at__range=near).values_list("pk", "name", "at"))
    if not written:
        return
    pairs = set()
    causes = Alert.objects.filter(
        cluster=cluster,
        detection__in=_CAUSES,
        attempted=False,
        object__kind="ClusterRole",
        happened_at__range=near,
    )
    access = inventory.aggregated(cluster)
    for alert, happened_at, name, labels in causes.values_list("pk", "happened_at", "object__name", _labels()):
        fed = _fed(name, labels, access)
        pairs |= {(alert, row) for row, to, at in written if to in fed and timedelta() <= at - happened_at <= FOLLOWS}
    _put(pairs)


def _put(pairs: set[tuple[int, int]]) -> None:
    """Put events to alerts by their keys, those that are echoes indeed and are not there yet."""
    put = Alert.events.through.objects
    pairs = pairs - set(put.filter(alert__in={alert for alert, _ in pairs}).values_list("alert", "auditevent"))
    rows = AuditEvent.objects.filter(pk__in={row for _, row in pairs}).order_by()
    echoes = {row.pk for row in rows if is_echo(row)}
    put.bulk_create(
        [put.model(alert_id=alert, auditevent_id=row) for alert, row in sorted(pairs) if row in echoes],
        ignore_conflicts=True,
    )


def is_echo(row: AuditEvent) -> bool:
    """Tell whether a kept event is the controller's write of an aggregated role."""
    answer = row.body.get("responseObject")
    return (
        (row.group, row.resource, row.subresource) == (RBAC_GROUP, "clusterroles", "")
        and (row.impersonated, row.code) == (None, 200)
        and row.username in _CONTROLLERS
        and row.verb in _VERBS
        and (not isinstance(answer, dict) or bool(answer.get("aggregationRule")))
    )


def _written(cluster: Cluster) -> QuerySet[AuditEvent]:
    """Return what the controller wrote of ClusterRoles, aggregated or not."""
    return cluster.audit_events.filter(
        group=RBAC_GROUP,
        resource="clusterroles",
        subresource="",
        impersonated__isnull=True,
        code=200,
        username__in=_CONTROLLERS,
        verb__in=_VERBS,
    ).order_by()


def _labels() -> Subquery:
    """Return the expression for the labels that the role of an alert was last seen with."""
    seen = AccessVersion.objects.filter(object=OuterRef("object"), deletion=False, manifest__isnull=False)
    return Subquery(seen.order_by("-at", "-pk").values("manifest__metadata__labels")[:1])


def _fed(name: str, labels: Any, access: rbac.Access) -> set[str]:
    """Return the names of the roles that a ClusterRole with these labels feeds."""
    targets = access.aggregates(rbac.RoleRef("ClusterRole", name), labels if isinstance(labels, dict) else {})
    return {target.name for target in targets}
