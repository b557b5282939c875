"""The search over stored batches."""

from datetime import datetime, timedelta

import pytest

from alerts import rbac
from alerts.models import Batch, Cluster
from alerts.services import evidence
from alerts.services.investigation import findings
from alerts.services.investigation.findings import Findings
from tests.recorded import ATTACK, BEFORE, as_list, events, take_in, take_in_recordings
from tests.unit.audit.events import event_list, reading

ROLE = rbac.RoleRef("ClusterRole", "metrics-scraper-v2")
SECRET = {"resource": "secrets", "namespace": "web", "name": "db", "apiVersion": "v1"}
SCRAPER = "system:serviceaccount:kube-system:metrics-scraper"


@pytest.fixture
def history(cluster: Cluster) -> Cluster:
    take_in_recordings(cluster, *BEFORE, ATTACK)
    return cluster


def beginning(cluster: Cluster) -> datetime:
    since = evidence.history_since(cluster)
    assert since is not None
    return since


def test_it_finds_what_a_role_permitted(history: Cluster) -> None:
    found = evidence.requests(evidence.search(history, roles=[ROLE], since=beginning(history)))
    assert len(found) == 9
    assert {event.actor for event in found} == {SCRAPER}


def test_it_finds_what_an_actor_did_and_nobody_else(history: Cluster) -> None:
    found = list(evidence.search(history, actors=["jane@example.com"], since=beginning(history)))
    assert {event.actor for event in found} == {"jane@example.com"}
    assert {event.code for event in found} == {201, 200, 403}


def test_it_keeps_to_the_times_asked_for(history: Cluster) -> None:
    found = list(
        evidence.search(
            history, actors=["ci-deployer"], since=beginning(history), until=beginning(history) + timedelta(seconds=7)
        )
    )
    assert found
    assert all("python-requests" not in (event.user_agent or "") for event in found)


def test_it_opens_no_batch_that_cannot_matter(history: Cluster) -> None:
    search = evidence.search(history, roles=[ROLE], since=beginning(history))
    assert list(search)
    assert search.opened == 1
    assert Batch.objects.count() == 5


def test_without_a_role_or_an_actor_it_finds_nothing(history: Cluster) -> None:
    assert list(evidence.search(history, since=beginning(history))) == []


def test_a_name_that_begins_like_another_is_another(history: Cluster) -> None:
    assert list(evidence.search(history, actors=["ci"], since=beginning(history))) == []
    # SQLite compares without case, we do not.
    assert list(evidence.search(history, actors=["CI-deployer"], since=beginning(history))) == []


def test_it_stops_when_its_time_is_over_and_says_what_it_left_out(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = [event for event in events(ATTACK) if event["user"]["username"] == SCRAPER]
    for event in recorded:
        take_in(cluster, as_list([event]))
    monkeypatch.setattr(evidence, "SECONDS", 0.0)
    found = Findings.of(evidence.search(cluster, actors=[SCRAPER], since=beginning(cluster)))
    assert (len(found.events), found.opened, found.left_out) == (1, 1, len(recorded) - 1)


def test_it_stops_at_its_limit_and_says_what_it_left_out(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "BATCHES", 2)
    recorded = [event for event in events(ATTACK) if event["user"]["username"] == SCRAPER]
    for event in recorded:
        take_in(cluster, as_list([event]))
    search = evidence.search(cluster, actors=[SCRAPER], since=beginning(cluster))
    assert len(list(search)) == 2
    assert search.left_out == len(recorded) - 2 > 1
    monkeypatch.setattr(evidence, "COUNTED", 1)
    few = Findings.of(search)
    assert few.left_out == 1
    assert few.gaps == "Not all: batches not opened: 1 or more."


def test_whoever_floods_the_log_hides_neither_the_use_of_a_role_nor_what_else_they_did(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "BATCHES", 2)
    monkeypatch.setattr(findings, "OF_NO_KIND", 3)
    monkeypatch.setattr(findings, "OF_A_KIND", 2)
    for number in range(3):
        earlier = {"requestReceivedTimestamp": f"2026-11-23T17:00:0{number}.000000Z"}
        by = {"user": {"username": "ci-deployer"}} | earlier
        read = [reading(f"read-{number}-{each}") | by for each in range(9)]
        took = [each | {"auditID": each["auditID"].replace("read", "took"), "objectRef": SECRET} for each in read]
        take_in(cluster, event_list(*read, *took))
    take_in(cluster, as_list(event for event in events(ATTACK) if event["user"]["username"] == SCRAPER))
    search = evidence.search(cluster, roles=[ROLE], actors=["ci-deployer"], since=beginning(cluster))
    found = Findings.of(search)
    assert found.gaps == (
        "Not all: of what was done again and again the first requests were looked at; batches not opened: 2."
    )
    done = [event.audit_id for event in found.events if event.actor == "ci-deployer"]
    assert done == ["read-0-0", "read-0-1", "read-0-2", "took-0-0", "took-0-1"]
    assert len([event for event in found.events if search.permitted(event)]) > 3


def test_the_newest_come_first_where_that_is_asked(history: Cluster) -> None:
    found = list(evidence.search(history, actors=["ci-deployer"], since=beginning(history), newest_first=True))
    times = [event.at for event in found if event.at]
    assert times == sorted(times, reverse=True)


def test_one_request_counts_once_whatever_its_stages(history: Cluster) -> None:
    search = evidence.search(history, roles=[ROLE], since=beginning(history))
    commands = [event for event in search if event.subresource == "exec"]
    assert [event.stage for event in commands] == ["ResponseStarted", "ResponseComplete"]
    assert [event.stage for event in evidence.requests(commands)] == ["ResponseComplete"]
    assert [event.stage for event in evidence.requests(commands[:1])] == ["ResponseStarted"]


def test_one_audit_id_for_two_requests_hides_neither(cluster: Cluster) -> None:
    recorded = [event for event in events(ATTACK) if event["user"]["username"] == SCRAPER]
    take_in(cluster, as_list(event | {"auditID": "the-same"} for event in recorded))
    found = evidence.requests(evidence.search(cluster, actors=[SCRAPER], since=beginning(cluster)))
    assert len(found) == len(recorded) - 1
