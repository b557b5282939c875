"""What the audit policy does not record, by the requests at hand."""

from typing import Any

from alerts.audit.event import Event
from alerts.services.posture import recording
from alerts.services.posture.look import Kind
from tests.unit.audit.events import creation, decoded, metadata_only

SECRET = {"resource": "secrets", "namespace": "web", "name": "s", "apiVersion": "v1"}
EARLIER = "2026-11-22T10:00:00.000000Z"


def keys(*events: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each.kind.value, each.key) for each in look(*events).found]


def look(*events: dict[str, Any]) -> Any:
    read: list[Event] = [decoded(event) for event in events]
    return recording.look(read)


def test_rules_that_were_not_recorded_are_a_gap() -> None:
    (gap,) = look(metadata_only(creation())).found
    assert (gap.title, gap.detail) == (
        "roles and bindings: what they permit",
        "level Metadata; RequestResponse records it",
    )
    assert keys(creation()) == []


def test_the_newest_request_counts_whatever_order_they_come_in() -> None:
    poor, rich = metadata_only(creation()), creation(auditID="rich")
    assert keys(rich | {"requestReceivedTimestamp": EARLIER}, poor) == [("audit", "roles and bindings")]
    assert keys(poor | {"requestReceivedTimestamp": EARLIER}, rich) == []
    assert keys(rich, poor | {"requestReceivedTimestamp": EARLIER}) == []


def test_what_was_seen_at_a_good_level_clears_the_finding_and_what_was_not_seen_does_not() -> None:
    cleared = look(creation()).cleared
    assert (Kind.AUDIT, "roles and bindings") in cleared
    assert (Kind.AUDIT, "jobs") not in cleared
    assert (Kind.AUDIT, "roles and bindings") not in look(metadata_only(creation())).cleared


def test_secrets_in_the_audit_log_are_a_finding() -> None:
    secret = creation(objectRef=SECRET)
    assert keys(secret) == [("audit-secrets", "secrets")]
    assert keys(metadata_only(secret)) == []
    assert (Kind.AUDIT_SECRETS, "secrets") in look(metadata_only(secret)).cleared


def test_what_never_was_seen_is_said_only_after_some_days() -> None:
    day = look(creation()).recorded
    assert recording.look_for_silence([day, day, {}]).found == ()
    silent = [each.key for each in recording.look_for_silence([day, day, day]).found]
    assert silent == ["never secrets", "never token requests", "never workloads"]
    seen = day | {"secrets": ["Metadata"]}
    assert "never secrets" not in [each.key for each in recording.look_for_silence([day, seen, day]).found]
    assert (Kind.AUDIT, "never secrets") in look(creation(objectRef=SECRET)).cleared
