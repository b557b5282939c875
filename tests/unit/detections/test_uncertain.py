"""What an API server says that it failed, and may have carried out."""

from typing import Any

import pytest

from tests.unit.audit.events import creation, metadata_only
from tests.unit.detections.examples import (
    EVERYTHING,
    filled,
    findings,
    found,
    manifest,
    reference,
    write,
)  # fmt: skip
from tests.unit.detections.test_certificate_approved import CONTROLLER, KUBELET, approval
from tests.unit.detections.test_token_issued import token

FAILED = {"kind": "Status", "status": "Failure", "code": 504}
DOUBT = ", if that was carried out: the API server answered 504"
BEFORE = manifest()
DEFAULT = manifest(name="view", metadata={"labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}})
BOUND = manifest("ClusterRoleBinding", "admins", roleRef=reference("cluster-admin"))


def timed_out(after: dict[str, Any], verb: str = "patch", **changes: Any) -> dict[str, Any]:
    return write(after, verb, 504, **({"responseObject": FAILED} | changes))


@pytest.mark.parametrize(
    ("event", "title"),
    [
        (timed_out(BEFORE), f"ClusterRole reader changed, and its new rules were not recorded{DOUBT}"),
        (
            timed_out(BEFORE, "update", requestObject=manifest(rules=EVERYTHING)),
            f"ClusterRole reader widened{DOUBT}",
        ),
        (timed_out(BEFORE, "delete", requestObject=None), f"ClusterRole reader deleted{DOUBT}"),
        (metadata_only(timed_out(BEFORE, "delete")), f"ClusterRole reader deleted{DOUBT}"),
        (timed_out(BOUND), f"ClusterRoleBinding admins changed, and who holds it now was not recorded{DOUBT}"),
        (timed_out(DEFAULT), f"Default ClusterRole view changed, and how was not recorded{DOUBT}"),
        (timed_out(DEFAULT, "delete", requestObject=None), f"Default ClusterRole view deleted{DOUBT}"),
        (
            approval(responseStatus={"code": 504}),
            f"Certificate request mine approved: user eve in system:masters{DOUBT}",
        ),
        (token(responseStatus={"code": 504}), f"Token issued for service account web/bot{DOUBT}"),
        (creation(responseStatus={"code": 504}, responseObject=FAILED), f"ClusterRole reader created{DOUBT}"),
    ],
)
def test_what_may_have_been_carried_out_is_found_and_is_no_refused_attempt(event: dict[str, Any], title: str) -> None:
    (finding,) = findings(event, BEFORE, DEFAULT, BOUND)
    assert (finding.title, finding.attempted) == (title, False)


@pytest.mark.parametrize("status", [{"code": 500}, None])
def test_a_panic_and_a_lost_status_leave_it_open_too(status: dict[str, int] | None) -> None:
    event = timed_out(BEFORE, "delete", requestObject=None, stage="Panic", responseStatus=status)
    why = "the API server answered 500" if status else "the log does not tell"
    assert found(event, BEFORE)[1] == f"ClusterRole reader deleted, if that was carried out: {why}"


def test_a_whole_object_that_permits_no_more_is_nothing_whatever_became_of_it() -> None:
    assert not findings(timed_out(BEFORE, "update", requestObject=BEFORE), BEFORE)


@pytest.mark.parametrize("code", [400, 403, 404, 409, 422, 429])
def test_what_was_not_carried_out_is_nothing(code: int) -> None:
    for verb in ("patch", "update", "delete"):
        assert not findings(write(BEFORE, verb, code, responseObject=FAILED), BEFORE)


def test_what_an_actor_tries_again_and_again_on_a_day_is_one_that_needs_a_look_each_time() -> None:
    first, again = timed_out(BEFORE), timed_out(BEFORE, auditID="other", requestURI="/y", responseStatus={"code": 503})
    (one,), (other,) = findings(first, BEFORE), findings(again, BEFORE)
    assert one.fingerprint == other.fingerprint
    assert one.recurring
    for different in (
        timed_out(BEFORE, user={"username": "eve"}),
        timed_out(manifest(name="writer")),
        timed_out(BEFORE, requestReceivedTimestamp="2026-11-24T00:00:00.000000Z"),
        timed_out(BEFORE, "delete", requestObject=None),
        write(BEFORE, responseObject=None, level="Request"),
    ):
        assert findings(different, BEFORE)[0].fingerprint != one.fingerprint


def test_the_uid_that_was_sent_is_not_taken_for_the_objects() -> None:
    sent = manifest(rules=EVERYTHING, metadata={"uid": "made up"})
    assert findings(timed_out(BEFORE, "update", requestObject=sent), BEFORE)[0].uid == ""
    assert findings(creation(responseStatus={"code": 504}, requestObject=sent, responseObject=FAILED))[0].uid == ""


def test_controllers_that_are_told_to_wait_are_nothing() -> None:
    aggregated = manifest(name="admin", aggregationRule={"clusterRoleSelectors": []})
    waiting = {"responseStatus": {"code": 504}, "responseObject": FAILED}
    assert not findings(filled(aggregated, **waiting), aggregated)
    assert not findings(approval(KUBELET, user=CONTROLLER, responseStatus={"code": 503}))
