"""Watches that only a listing makes true, since no event told of it."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User

from alerts.lifecycle import Verdict
from alerts.models import Alert, Cluster, Notification, Stakeholder
from alerts.services import watch, workflow
from tests.factories import make_alert
from tests.integration.reconciliation.conftest import Listed
from tests.unit.audit.events import role

OTHER = "7d1f3c52-0000-4000-8000-0000000000b1"


def binding(
    to: str = "reader", name: str = "readers", version: str = "1", holder: str = "mallory@example.com"
) -> dict[str, Any]:
    """Return a binding of a cluster role to somebody."""
    group = "rbac.authorization.k8s.io"
    return {
        "kind": "ClusterRoleBinding",
        "apiVersion": f"{group}/v1",
        "metadata": {"name": name, "uid": f"uid-of-{name}", "resourceVersion": version},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": to},
        "subjects": [{"kind": "User", "apiGroup": group, "name": holder}],
    }


@pytest.fixture
def watched(cluster: Cluster, listed: Listed, clock: time_machine.Traveller, ana: User) -> Alert:
    """An alert on the role reader, which mallory holds by a binding: watched, and closed."""
    listed(role(), binding())
    alert = make_alert(cluster, "reader")
    watch.start(alert, by=ana)
    clock.shift(timedelta(minutes=1))
    workflow.close(alert, Verdict.FALSE_POSITIVE, by=ana, version=alert.version, reason="It was us.")
    Stakeholder.objects.create(name="Security", group="security", email="security@example.org")
    return alert


def tripped(alert: Alert) -> list[tuple[str, str]]:
    return [(each.condition, each.name) for each in alert.watches.exclude(tripped_at=None)]


def test_a_gain_that_no_event_told_of_reopens_the_alert_and_is_told_once(watched: Alert, listed: Listed) -> None:
    now = [role(), binding(), binding(to="cluster-admin", name="more")]
    assert [each.title for each in listed(*now)] == ["ClusterRoleBinding more appeared without an audit event"]
    assert tripped(watched) == [("gains", "mallory@example.com")]
    watched.refresh_from_db()
    assert watched.is_open()
    assert "was given something else" in Notification.objects.get(alert=watched).text
    listed(*now)
    assert Notification.objects.filter(alert=watched).count() == 1


def test_a_role_that_returns_and_no_event_told_of_it_reopens_the_alert(watched: Alert, listed: Listed) -> None:
    listed(binding())
    assert tripped(watched) == []
    listed(role(uid=OTHER), binding())
    assert ("returns", "reader") in tripped(watched)
    watched.refresh_from_db()
    assert watched.is_open()


def test_what_gives_others_something_or_was_there_before_trips_nothing(watched: Alert, listed: Listed) -> None:
    listed(role(), binding(), binding(to="cluster-admin", name="more", holder="bob"))
    listed(role(), binding(version="2"))
    assert tripped(watched) == []
