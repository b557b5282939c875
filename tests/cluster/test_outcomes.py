"""A real API server says that a request failed, and it was carried out."""

from itertools import product

import pytest
from urllib3.exceptions import HTTPError

from alerts.cluster.kinds import Manifest
from alerts.models import Alert, Cluster
from tests.cluster.conftest import APIServer
from tests.cluster.scenarios import GET_PODS, MERGE, ROLES, role
from tests.cluster.test_creations_are_detected import EVERYTHING
from tests.cluster.test_reconciliation import connect, event_of, opened, take_in
from tests.recorded import gathered

pytestmark = pytest.mark.control_plane


def carried_out(real: APIServer, path: str) -> Manifest:
    """Return the event of a change that was answered with an error, and made all the same."""
    for number, milliseconds in product(range(60), range(1, 9)):
        audit_id = f"outcome-{number}-{milliseconds}"
        real.ask("PATCH", path, {"rules": GET_PODS}, content_type=MERGE)
        asked = f"{path}?timeout={milliseconds}ms"
        try:
            code, _ = real.ask("PATCH", asked, {"rules": EVERYTHING}, content_type=MERGE, audit_id=audit_id)
        except HTTPError:
            code = 0
        if code == 200 or real.ask("GET", path)[1]["rules"] != EVERYTHING:
            continue
        event = event_of(real, audit_id)
        # Where the connection was closed early, its answer may have been on the way.
        if event["responseStatus"]["code"] >= 500:
            return event
    raise AssertionError("no request that ran out of time was carried out")


def test_a_change_that_ran_out_of_time_is_found_explained_and_weighed(real: APIServer, cluster: Cluster) -> None:
    path = f"{ROLES}/outcome"
    assert real.ask("POST", ROLES, role("outcome", GET_PODS), audit_id="outcome")[0] == 201
    connect(cluster, real)
    take_in(cluster, event_of(real, "outcome"))
    take_in(cluster, carried_out(real, path))
    assert opened(cluster) == []
    alert = gathered(Alert.objects.get(detection="role_widened"))
    assert "if that was carried out: the API server answered 504" in alert.title
    assert alert.evidence["permissions"]["known"]
    assert any(label == "Everything, future APIs included" for label, _ in alert.factors)
    real.ask("DELETE", path)
