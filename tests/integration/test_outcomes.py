"""What becomes of an alert on a change of which nobody recorded what it was, or whether it was carried out."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from alerts import lifecycle
from alerts.models import Alert, Cluster
from alerts.services import listing, workflow
from alerts.services.investigation.case import Case
from alerts.services.investigation.permissions import Permissions
from tests.integration.conftest import Live
from tests.integration.reader import MORE, at, change, take_in
from tests.recorded import gathered, told
from tests.unit.audit.events import creation, metadata_only, role

FAILED: dict[str, Any] = {"responseStatus": {"code": 504}, "responseObject": {"kind": "Status", "metadata": {}}}
HALVED = ["the API server refused it", "× 0.5"]


def close(alert: Alert, by: User) -> None:
    workflow.assign(alert, by, by=by, version=alert.version)
    alert.refresh_from_db()
    for key in ("creator", "permissions", "use"):
        Alert.objects.get(pk=alert.pk).steps.filter(key=key).update(outcome="x")
    workflow.close(alert, lifecycle.Verdict.BENIGN, by=by, version=alert.version, reason="It was me.")


@pytest.mark.parametrize("lost", [metadata_only, lambda event: event | FAILED], ids=["not recorded", "not known"])
def test_a_closed_alert_is_opened_by_the_next_change_of_the_day(cluster: Cluster, ana: User, lost: Any) -> None:
    take_in(cluster, creation(**at(1)), lost(change(2, "4712")))
    alert = Alert.objects.exclude(detection="cluster_role_created").get()
    close(alert, ana)
    take_in(cluster, lost(change(2, "4712")))
    assert not Alert.objects.get(pk=alert.pk).is_open()
    take_in(cluster, lost(change(3, "4713")))
    alert.refresh_from_db()
    assert alert.is_open()
    assert alert.events.count() == 2
    assert alert.activities.filter(summary__contains="It happened again.").exists()


def test_one_that_was_withdrawn_is_opened_by_the_next_change_of_the_day_once(cluster: Cluster) -> None:
    sent: dict[str, Any] = {"level": "Request", "verb": "update", "responseObject": None}
    whole = role() | {"rules": MORE}
    del whole["metadata"]["resourceVersion"]
    take_in(cluster, change(5, "", requestObject=whole, **sent))
    (alert,) = Alert.objects.all()
    # What was there before comes late, and is the same.
    take_in(cluster, change(2, "4711", MORE))
    alert.refresh_from_db()
    assert not alert.is_open()
    take_in(cluster, metadata_only(change(6, "", verb="update")))
    alert.refresh_from_db()
    assert alert.is_open()


def test_a_role_that_may_have_been_created_weighs_as_if_it_was(cluster: Cluster) -> None:
    sent = role() | {"rules": MORE}
    take_in(
        cluster,
        creation(requestObject=sent, **FAILED),
        creation("twin", responseObject=role("twin", uid="u") | {"rules": MORE}),
    )
    uncertain, done = (gathered(alert) for alert in Alert.objects.order_by("object__name"))
    assert (uncertain.score, uncertain.severity) == (done.score, done.severity)
    assert HALVED not in uncertain.factors
    assert ", if that was carried out: the API server answered 504" in told(uncertain)
    assert uncertain.evidence["permissions"]["known"]


def test_what_a_change_came_to_is_asked_of_the_cluster(cluster: Cluster, live: Live) -> None:
    take_in(cluster, creation(**at(1)))
    live.manifests = (role(resourceVersion="4712") | {"rules": MORE},)
    take_in(cluster, change(2, "", **FAILED))
    assert listing.refresh(cluster)
    permissions = Permissions(Case(Alert.objects.get(detection="role_widened")))
    assert permissions.capabilities[0].id == "everything"
    assert tuple(HALVED) not in permissions.risk.factors
