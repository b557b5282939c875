from typing import Any

import pytest

from alerts import detections
from alerts.audit.decode import decode
from alerts.detections.writes import kind_of, manifest_of
from tests.conftest import DATA, RECORDINGS
from tests.unit.detections.examples import Seen

SCRAPER = "service account kube-system/metrics-scraper"


def titles(content: bytes) -> list[str]:
    """Return what is found in a log of which every event is remembered."""
    seen: dict[tuple[str, str, str], dict[str, Any]] = {}
    found = []
    for event in decode(content).events:
        found += [finding.title for finding in detections.examine(event, Seen(*seen.values()))]
        kind = kind_of(event)
        manifest = manifest_of(event, kind) if kind and event.succeeded and event.verb != "delete" else None
        if manifest is not None:
            seen[kind, event.namespace, event.name] = manifest
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "clusterrole-takeover",
            [
                "ClusterRole metrics-scraper-v2 created",
                f"ClusterRoleBinding metrics-scraper-v2 created: metrics-scraper-v2 for {SCRAPER}",
                f"Token issued for {SCRAPER}",
            ],
        ),
        ("narrow-role", ["ClusterRole pod-log-reader created"]),
        (
            "binding-to-admin",
            [
                "ClusterRoleBinding system-health created: cluster-admin for user mallory@example.com",
                "RoleBinding payments/ops created: admin for everybody (system:authenticated)",
                "ClusterRoleBinding anon created: view for anybody without log-in",
            ],
        ),
        (
            "refused-escalation",
            [
                "Attempt to create an unnamed ClusterRole",
                "Attempt to create ClusterRole debug-everything",
                "Attempt to escalate through ClusterRole pod-log-reader",
            ],
        ),
    ],
)
def test_a_recorded_scenario_holds_these_findings_and_no_others(name: str, expected: list[str]) -> None:
    assert titles((RECORDINGS / f"{name}.jsonl").read_bytes()) == expected


def test_an_operator_s_installation_is_its_own_writes_and_none_of_the_aggregation_controller() -> None:
    found = titles((RECORDINGS / "operator-install.jsonl").read_bytes())
    assert len(found) == 10
    assert all("certkeeper" in title for title in found)
    assert found[-1] == "ClusterRole certkeeper-controller-orders widened"


def test_a_cluster_that_is_set_up_holds_only_what_its_administrator_did() -> None:
    found = titles((RECORDINGS / "bootstrap.jsonl").read_bytes())
    assert [title.partition(" created")[0] for title in found] == [
        "ClusterRole platform-deployer",
        "ClusterRoleBinding platform-deployer",
        "ClusterRoleBinding developers-edit",
        "ClusterRoleBinding contractors-view",
        "ClusterRole role-author",
        "ClusterRoleBinding jane-role-author",
    ]


def test_the_start_of_a_control_plane_is_no_finding() -> None:
    content = (DATA / "audit" / "control-plane-start.jsonl").read_bytes()
    assert len(decode(content).events) == 832
    assert not titles(content)
