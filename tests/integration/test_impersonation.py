"""What is done in somebody's name, as a proxy does for everybody who comes through it."""

from typing import Any
from unittest import mock

from django.utils import timezone

from alerts.models import Alert, Cluster
from alerts.rbac import Access
from tests.integration.examining import take_in
from tests.recorded import gathered
from tests.unit.audit.events import event_list, reading

MASTERS = {"username": "admin", "groups": ["system:masters"]}
POD = {"resource": "pods", "namespace": "web", "name": "web-1", "apiVersion": "v1"}


def acting(second: int, **changes: Any) -> dict[str, Any]:
    at = {"requestReceivedTimestamp": f"2026-11-23T18:00:{second:02}.000000Z"}
    return reading(f"acting-{second}") | {"impersonatedUser": MASTERS} | at | changes


def kept(cluster: Cluster) -> list[str]:
    return list(cluster.audit_events.order_by("at").values_list("audit_id", flat=True))


def test_of_what_is_read_in_a_name_the_first_of_a_batch_is_kept(cluster: Cluster) -> None:
    take_in(cluster, event_list(acting(8), *(acting(second) for second in range(9, 1, -1))))
    assert kept(cluster) == ["acting-2"]
    take_in(cluster, event_list(acting(1), acting(20)))
    assert kept(cluster) == ["acting-1", "acting-2"]
    alert = Alert.objects.get()
    assert alert.title == "Impersonation of system:masters"
    assert alert.happened_at.second == 1


def test_what_is_done_in_a_name_is_kept_whole(cluster: Cluster) -> None:
    executed = acting(5, objectRef=POD | {"subresource": "exec"})
    take_in(cluster, event_list(acting(2), acting(3, verb="delete"), acting(4, verb="delete"), executed, acting(6)))
    assert kept(cluster) == ["acting-2", "acting-3", "acting-4", "acting-5"]


def test_other_names_are_others(cluster: Cluster) -> None:
    other = {"username": "system:admin", "groups": []}
    take_in(cluster, event_list(acting(2), acting(3), acting(4, impersonatedUser=other)))
    assert kept(cluster) == ["acting-2", "acting-4"]
    assert Alert.objects.count() == 2


def test_whether_somebody_is_powerful_is_worked_out_once(cluster: Cluster) -> None:
    names = [{"username": "asked-once", "groups": [f"{number % 2}"]} for number in range(9)]
    events = [acting(second, impersonatedUser=name) for second, name in enumerate(names)]
    with mock.patch.object(Access, "what_can", return_value={}) as worked_out:
        take_in(cluster, event_list(*events[:5]))
        take_in(cluster, event_list(*events[5:]))
    assert worked_out.call_count == 2
    assert not Alert.objects.exists()


def test_a_shell_in_a_name_is_told_when_it_begins_and_once(cluster: Cluster) -> None:
    shell = {"verb": "create", "objectRef": POD | {"subresource": "exec"}, "responseStatus": {"code": 101}}
    take_in(cluster, event_list(acting(5, stage="ResponseStarted", **shell)))
    alert = Alert.objects.get()
    assert gathered(alert).evidence["use"]["permitted"] == 1
    take_in(cluster, event_list(acting(5, **shell)))
    assert Alert.objects.get() == alert
    assert gathered(alert).evidence["use"]["permitted"] == 1


def test_of_a_watch_in_a_name_a_batch_keeps_one_stage(cluster: Cluster) -> None:
    watch = {"verb": "watch", "requestURI": "/api/v1/secrets?watch=true"}
    take_in(cluster, event_list(acting(5, stage="ResponseStarted", **watch), acting(5, **watch)))
    assert [row.stage for row in cluster.audit_events.all()] == ["ResponseStarted"]


def test_a_node_is_weighed_by_what_the_node_authorizer_lets_it_do(cluster: Cluster) -> None:
    Cluster.objects.update(inventory_at=timezone.now())
    node = {"username": "system:node:worker-1", "groups": ["system:nodes", "system:authenticated"]}
    take_in(cluster, event_list(acting(5, impersonatedUser=node)))
    alert = gathered(Alert.objects.get())
    assert alert.severity == "medium"
    assert ["the Node authorizer keeps it to what runs on the node", "× 0.5"] in alert.factors
