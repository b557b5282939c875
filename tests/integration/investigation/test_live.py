"""An investigation of a cluster that can be asked."""

from collections.abc import Iterator

import pytest

from alerts.cluster.api import ClusterAPI
from alerts.cluster.kinds import ObjectReference
from alerts.cluster.practice import recordings, server
from alerts.models import Alert, Cluster
from tests import faults
from tests.recorded import ATTACK, BEFORE, gathered, take_in_recordings, told

TAKEOVER = "ClusterRole metrics-scraper-v2 created"


@pytest.fixture
def practice(socket_enabled: None) -> Iterator[server.PracticeCluster]:
    with server.running(replay=[recordings.find(name) for name in (*BEFORE, ATTACK)]) as running:
        yield running


@pytest.fixture
def network(practice: server.PracticeCluster) -> Iterator[faults.Network]:
    with faults.network(practice.address) as between:
        yield between


@pytest.fixture
def prod(cluster: Cluster, practice: server.PracticeCluster, network: faults.Network) -> Cluster:
    cluster.api_address = network.address
    cluster.readable = cluster.private_address_allowed = True
    cluster.set_api_token(practice.token)
    cluster.save()
    return cluster


@pytest.fixture
def attack(prod: Cluster) -> Alert:
    return gathered(take_in_recordings(prod, *BEFORE, ATTACK)[TAKEOVER])


def test_who_gains_it_could_do_nothing_before(attack: Alert) -> None:
    (gainer,) = attack.evidence["permissions"]["gainers"]
    assert gainer["before"] == "It could do nothing before but what everybody may."
    assert attack.evidence["permissions"]["summary"].startswith("New access for 1 subject. It permits: Everything")
    assert attack.evidence_error == ""


def test_what_was_left_behind_is_still_there_or_gone(attack: Alert, practice: server.PracticeCluster) -> None:
    states = {item["title"]: item["state"] for item in attack.evidence["remedy"]["items"]}
    assert states["DaemonSet kube-system/node-exporter-x"] == "there"
    assert states["Token of kube-system/metrics-scraper"] == "there"
    assert states["Secret payments/db-credentials, read"] == "read"
    with ClusterAPI(practice.address, practice.admin_token, private_address_allowed=True) as admin:
        daemon = ObjectReference("DaemonSet", "kube-system", "node-exporter-x")
        admin.delete(daemon, uid=admin.read(daemon)["metadata"]["uid"], resource_version=None)
    states = {item["title"]: item["state"] for item in gathered(attack).evidence["remedy"]["items"]}
    assert states["DaemonSet kube-system/node-exporter-x"] == "gone"
    assert states["CronJob kube-system/kube-metrics-sync"] == "there"


def test_namespaces_without_walls_are_findings_of_the_cluster(attack: Alert) -> None:
    rows = attack.cluster.posture_findings.open()
    assert {"payments", "web"} <= set(rows.filter(kind="network").values_list("title", flat=True))
    assert {"payments", "web"} <= set(rows.filter(kind="pods").values_list("title", flat=True))
    assert not any(finding["level"] == "soft" for finding in attack.evidence["policies"]["findings"])


def test_masters_are_not_blamed_for_what_rbac_does_not_govern(attack: Alert) -> None:
    findings = {finding["key"]: finding for finding in attack.evidence["policies"]["findings"]}
    for key in ("makers", "escalate", "bind", "impersonate", "create"):
        assert not any("system:masters" in line for line in findings.get(key, {"lines": []})["lines"])
    assert any("system:masters" in line for line in findings["equals"]["lines"])


def test_a_cluster_that_cannot_be_reached_is_said_so_and_asked_again(prod: Cluster, network: faults.Network) -> None:
    prod.api_address = "http://127.0.0.1:9"
    prod.save()
    alert = gathered(take_in_recordings(prod, *BEFORE, ATTACK)[TAKEOVER])
    assert alert.evidence_error
    assert alert.evidence_due
    # What the events tell is all there.
    assert alert.severity == "critical"
    assert alert.evidence["use"]["permitted"] == 9
    assert {item["state"] for item in alert.evidence["remedy"]["items"]} == {"unknown", "read"}
    prod.api_address = network.address
    prod.save()
    again = gathered(alert)
    assert again.evidence_error == ""
    assert not again.evidence_due


def test_after_the_role_is_gone_the_evidence_still_tells_what_it_was(
    attack: Alert, practice: server.PracticeCluster
) -> None:
    with ClusterAPI(practice.address, practice.admin_token, private_address_allowed=True) as admin:
        for kind in ("ClusterRoleBinding", "ClusterRole"):
            reference = ObjectReference(kind, "", "metrics-scraper-v2")
            admin.delete(reference, uid=admin.read(reference)["metadata"]["uid"], resource_version=None)
    Cluster.objects.update(inventory_at=None)
    again = gathered(attack)
    assert again.object is not None
    assert again.object.deleted_at is not None
    assert (again.severity, again.score) == ("critical", 100)
    assert told(again) == told(attack)
    assert [gainer["who"] for gainer in again.evidence["permissions"]["gainers"]] == [
        "service account kube-system/metrics-scraper"
    ]
