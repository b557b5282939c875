from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.audit.decode import decode
from alerts.audit.event import Event
from alerts.detections.audit_data_damaged import examine, quarantined, unreadable
from alerts.detections.detection import Finding
from tests.unit.audit.events import as_bytes, creation, decoded, event_list, reading

RECEIVED = datetime(2026, 11, 23, 18, tzinfo=UTC)
CUT: dict[str, Any] = {"annotations": {"audit.k8s.io/truncated": "true"}}


def salvaged(event: dict[str, Any]) -> Event:
    """Return the event as it is left when its body is malformed."""
    raw = as_bytes(event | {"requestObject": 0}).replace(b'"requestObject":0', b'"requestObject":{{{')
    (damaged,) = decode(event_list(raw)).damaged
    assert damaged.event is not None
    return damaged.event


def found(event: Event, received_at: datetime = RECEIVED) -> Finding | None:
    return next(examine(event, received_at), None)


def test_a_sound_event_is_nothing() -> None:
    assert found(decoded(creation())) is None


def test_an_rbac_write_that_was_cut_names_its_actor() -> None:
    finding = found(decoded(creation(**CUT)))
    assert finding is not None
    assert (finding.title, finding.actor) == (
        "Audit data of mallory@example.com is damaged",
        "mallory@example.com",
    )


def test_a_malformed_rbac_write_counts_though_it_was_refused() -> None:
    assert found(salvaged(creation(verb="patch", responseStatus={"code": 400})))


@pytest.mark.parametrize("field", ["objectRef", "verb", "stage"])
def test_what_may_have_been_an_rbac_write_counts(field: str) -> None:
    event = creation()
    del event[field]
    assert found(salvaged(event))


def test_without_object_and_address_it_may_have_been_anything() -> None:
    event = salvaged(creation(objectRef=None, requestURI=""))
    assert found(event)


@pytest.mark.parametrize(
    "address",
    [
        "/apis/rbac%2Eauthorization.k8s.io/v1/clusterroles",
        "/%61pis/rbac.authorization.k8s.io/v1/clusterroles?fieldManager=x",
        "/apis%2Frbac.authorization.k8s.io%2fv1%2Fclusterroles",
    ],
)
def test_without_its_object_an_rbac_write_is_told_by_its_address_however_that_is_escaped(address: str) -> None:
    assert found(salvaged(creation(objectRef=None, requestURI=address)))


def test_without_its_object_another_write_is_told_by_its_path_alone() -> None:
    address = "/api/v1/namespaces/web/pods?x=/apis/rbac.authorization.k8s.io/v1/"
    assert found(salvaged(creation(objectRef=None, requestURI=address))) is None


@pytest.mark.parametrize(
    "event",
    [reading() | CUT, creation(verb="get") | CUT, creation(stage="RequestReceived") | CUT],
)
def test_what_was_no_rbac_write_does_not_count(event: dict[str, Any]) -> None:
    assert found(decoded(event)) is None
    assert found(salvaged(event)) is None


def test_an_absurd_audit_id_counts_on_any_request() -> None:
    assert found(decoded(reading("A" * 201)))
    assert found(decoded(reading("A" * 200))) is None


def test_what_one_actor_damages_in_a_day_is_one_finding() -> None:
    day = [found(salvaged(creation(name=name))) for name in ("a", "b")]
    assert day[0] is not None
    assert day[1] is not None
    assert day[0].fingerprint == day[1].fingerprint
    later = found(salvaged(creation()), RECEIVED + timedelta(days=1))
    other = found(salvaged(creation(user={"username": "eve"})))
    assert later is not None
    assert other is not None
    assert len({each.fingerprint for each in (day[0], later, other)}) == 3


def test_what_nobody_can_read_is_a_finding_without_an_actor() -> None:
    assert unreadable(RECEIVED).actor == quarantined(RECEIVED).actor == ""
    assert unreadable(RECEIVED).fingerprint != quarantined(RECEIVED).fingerprint
