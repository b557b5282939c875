"""Of what is refused anybody may try any number: neither the alerts nor the events that are kept grow with it."""

from typing import Any

import pytest
from django.utils import timezone

from alerts.models import Alert, Cluster
from alerts.services import intake, investigation
from alerts.services.attempts import OF_THEIR_OWN
from tests.integration.examining import take_in
from tests.unit.audit.events import creation, event_list
from tests.unit.detections.examples import ESCALATION

ANYBODY = {"username": "system:anonymous", "groups": ["system:unauthenticated"]}
REST = f"More than {OF_THEIR_OWN} different attempts refused in a day"
FORBIDDEN = (
    'clusterroles.rbac.authorization.k8s.io "{}" is forbidden: User "system:anonymous" cannot create resource '
    '"clusterroles" in API group "rbac.authorization.k8s.io" at the cluster scope'
)


def tried(number: int, second: int = 0, name: str = "", **changes: Any) -> dict[str, Any]:
    """Return an attempt to make a role by server-side apply, which leaves its name in the log."""
    name = name or f"role-{number}"
    fields = {
        "auditID": f"{name}-{number}-{second}",
        "verb": "patch",
        "user": ANYBODY,
        "responseStatus": {"code": 403, "message": FORBIDDEN.format(name)},
        "requestObject": None,
        "responseObject": {"kind": "Status", "code": 403},
        "annotations": {"authorization.k8s.io/decision": "forbid", "authorization.k8s.io/reason": ""},
        "requestReceivedTimestamp": f"2026-11-23T18:{number:02}:{second:02}.000000Z",
    }
    return creation(name, **(fields | changes))


def titles(cluster: Cluster) -> list[str]:
    return list(Alert.objects.filter(cluster=cluster).order_by("pk").values_list("title", flat=True))


def test_beyond_some_a_day_an_actors_attempts_are_one_alert(cluster: Cluster) -> None:
    flood = event_list(*(tried(number) for number in range(OF_THEIR_OWN + 9)))
    take_in(cluster, flood)
    own = [f"Attempt to create ClusterRole role-{number}" for number in range(OF_THEIR_OWN)]
    assert sorted(titles(cluster)) == sorted([*own, REST])
    assert cluster.audit_events.count() == OF_THEIR_OWN + 1

    take_in(cluster, flood + b"\n")
    assert len(titles(cluster)) == OF_THEIR_OWN + 1
    assert cluster.audit_events.count() == OF_THEIR_OWN + 1

    take_in(cluster, event_list(tried(1, 1), *(tried(number) for number in range(50, 59))))
    assert len(titles(cluster)) == OF_THEIR_OWN + 1
    assert Alert.objects.get(title=REST).events.count() == 2


def test_a_refused_escalation_does_not_drown_in_other_attempts(cluster: Cluster) -> None:
    take_in(cluster, event_list(*(tried(number) for number in range(OF_THEIR_OWN + 1))))
    message = f'clusterroles.rbac.authorization.k8s.io "god" is forbidden: {ESCALATION}'
    allowed = {"authorization.k8s.io/decision": "allow"}
    take_in(
        cluster,
        event_list(tried(40, name="god", responseStatus={"code": 403, "message": message}, annotations=allowed)),
    )
    assert "escalation_refused" in Alert.objects.values_list("detection", flat=True)


def test_attempts_after_that_alert_was_closed_open_it_again(cluster: Cluster) -> None:
    take_in(cluster, event_list(*(tried(number) for number in range(OF_THEIR_OWN + 1))))
    rest = Alert.objects.filter(title=REST)
    rest.update(status="closed", verdict="benign", closed_at=timezone.now())
    take_in(cluster, event_list(tried(50)))
    assert rest.get().is_open()


def test_that_alert_says_what_it_is(cluster: Cluster) -> None:
    take_in(cluster, event_list(*(tried(number) for number in range(OF_THEIR_OWN + 1))))
    alert = Alert.objects.get(detection="many_attempts")
    assert (alert.attempted, alert.actor, alert.object) == (True, "system:anonymous", None)
    investigation.gather(alert)
    alert.refresh_from_db()
    told = "".join(text for _, text in alert.story)
    assert "tried more than 20 different things on one day, and the API server refused all of them." in told
    assert alert.severity == "medium"


def test_others_and_other_days_have_attempts_of_their_own(cluster: Cluster) -> None:
    take_in(cluster, event_list(*(tried(number) for number in range(OF_THEIR_OWN + 1))))
    before = len(titles(cluster))
    other = tried(1, user={"username": "eve"})
    later = tried(1, requestReceivedTimestamp="2026-11-24T00:00:00.000000Z")
    take_in(cluster, event_list(other, later))
    assert titles(cluster)[before:] == ["Attempt to create ClusterRole role-1"] * 2


@pytest.mark.parametrize("status", [{"code": 500}, {}])
def test_what_may_have_been_carried_out_is_never_gathered(cluster: Cluster, status: dict[str, Any]) -> None:
    take_in(cluster, event_list(*(tried(number) for number in range(OF_THEIR_OWN + 1))))
    take_in(cluster, event_list(tried(40, verb="create", name="made", responseStatus=status, responseObject=None)))
    assert titles(cluster)[-1].startswith("ClusterRole made created, if that was carried out: the ")


def test_of_the_same_attempt_a_batchs_first_is_kept(cluster: Cluster) -> None:
    take_in(cluster, event_list(*(tried(7, second, "reader") for second in range(9, 2, -1))))
    (event,) = cluster.audit_events.all()
    assert event.at.second == 3


def test_a_refused_change_or_deletion_that_nobody_watches_is_not_kept(cluster: Cluster) -> None:
    refused = [tried(1, verb=verb, responseStatus={"code": 403}) for verb in ("delete", "patch", "update")]
    assert take_in(cluster, event_list(*refused)) == intake.Outcome()
    assert not cluster.audit_events.exists()


def test_of_reads_under_an_absurd_audit_id_a_batchs_first_is_kept(cluster: Cluster) -> None:
    pods = {"resource": "pods", "namespace": "web", "name": "web-1", "apiVersion": "v1"}
    reads = [tried(n, auditID=f"{n}" * 300, verb="get", objectRef=pods, responseStatus={"code": 200}) for n in (1, 2)]
    take_in(cluster, event_list(*reads))
    assert titles(cluster) == ["Audit data of system:anonymous is damaged"]
    assert cluster.audit_events.count() == 1
