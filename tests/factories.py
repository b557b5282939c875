"""Plain functions that make rows for tests."""

import uuid
from typing import Any

from django.utils import timezone

from alerts import playbook
from alerts.models import AccessObject, Alert, Cluster, PostureFinding, Step


def make_alert(cluster: Cluster, name: str = "metrics-scraper-v2", **fields: Any) -> Alert:
    """Make an alert on a cluster role of that name, with its checklist."""
    role = AccessObject.named(cluster, "ClusterRole", "", name)
    defaults: dict[str, Any] = {
        "detection": "cluster_role_created",
        "fingerprint": f"fingerprint of {name}"[:64],
        "title": f"ClusterRole {name} created",
        "object": role,
        "object_uid": "2d529a80-0000-4000-8000-000000000000",
        "actor": "ci-deployer",
        "happened_at": timezone.now(),
        "severity": Alert.Severity.CRITICAL,
        "score": 96,
    }
    alert = Alert.objects.create(cluster=cluster, **(defaults | fields))
    Step.objects.bulk_create(Step(alert=alert, key=step.key) for step in playbook.STEPS)
    return alert


def make_finding(cluster: Cluster, **fields: Any) -> PostureFinding:
    """Make a finding that stands open on a cluster."""
    defaults: dict[str, Any] = {
        "digest": uuid.uuid4().hex,
        "kind": PostureFinding.Kind.ESCALATE,
        "level": Alert.Severity.HIGH,
        "title": "user eve",
        "detail": "escalate clusterroles, by ClusterRoleBinding eve of ClusterRole eve",
    }
    return PostureFinding.objects.create(cluster=cluster, **(defaults | fields))
