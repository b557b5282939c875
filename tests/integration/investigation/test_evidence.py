"""The search over stored batches."""

from datetime import datetime, timedelta

import pytest

from alerts import rbac
from alerts.models import Batch, Cluster
from alerts.services import evidence
from alerts.services.investigation.findings import Findings
from tests.recorded import ATTACK, BEFORE, as_list, events, take_in, take_in_recordings

ROLE = rbac.RoleRef("ClusterRole", "metrics-scraper-v2")
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
    assert few.gaps.endswith("and 1 or more batches were not opened.")


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
