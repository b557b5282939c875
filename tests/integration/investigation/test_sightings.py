"""What was seen before of a client, whoever used it."""

import hashlib
from typing import Any

import pytest

from alerts.models import Alert, Batch, Cluster
from tests.recorded import gathered, take_in
from tests.unit.audit.events import creation, event_list, role

LONG = "deployer/1.0 (" + "plugin " * 20
LONGER = LONG * 10


def anybody(alert: Alert) -> Any:
    """Return when somebody used the client by which an alert's role was created."""
    sightings = gathered(alert).evidence["creator"]["sightings"]
    return next(each for each in sightings if each["what"] == "client")["anybody"]


def created(cluster: Cluster, name: str, *, user_agent: str, second: int) -> Alert:
    at = f"2026-11-23T18:00:{second:02}.000000Z"
    made = role(name, uid=f"uid of {name}")
    event = creation(name, userAgent=user_agent, requestReceivedTimestamp=at, responseObject=made)
    (alert,) = take_in(cluster, event_list(event))
    return alert


@pytest.mark.parametrize("user_agent", ["kubectl/v1.32.4", LONG, LONGER])
def test_a_client_that_somebody_used_before_is_found(cluster: Cluster, user_agent: str) -> None:
    created(cluster, "one", user_agent=user_agent, second=1)
    created(cluster, "two", user_agent=f"{user_agent}-dev", second=11)
    assert anybody(created(cluster, "three", user_agent=user_agent, second=31))["last"] == "30 s before"


@pytest.mark.parametrize(
    ("user_agent", "line"), [(LONG, LONG), (LONGER, f"{LONGER[:500]}…{hashlib.sha256(LONGER.encode()).hexdigest()}")]
)
def test_a_client_is_found_in_batches_that_have_more_of_its_name(cluster: Cluster, user_agent: str, line: str) -> None:
    created(cluster, "one", user_agent=user_agent, second=1)
    Batch.objects.update(mentions=f"\nactor one\nclient {line}\n")
    assert anybody(created(cluster, "two", user_agent=user_agent, second=31))["first"] == "30 s before"
