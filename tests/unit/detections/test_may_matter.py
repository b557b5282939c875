"""The worker passes over most of what clusters do: nothing that a detection wants may be among it."""

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts import detections
from alerts.audit.decode import decode
from alerts.audit.event import Event
from alerts.audit.glance import Glance, skim
from alerts.detections import audit_data_damaged
from tests.conftest import DATA, RECORDINGS
from tests.unit.audit.events import RULES, as_bytes, creation, decoded, event_list, reading

EVENTS = [
    event
    for path in (*DATA.rglob("*.jsonl"), *RECORDINGS.glob("*.jsonl"))
    for event in decode(path.read_bytes()).events
    if not event.salvaged
]
VERBS = ["get", "watch", "create", "update", "patch", "delete", "deletecollection", "post", "impersonate", ""]
ABOUT = [
    ("rbac.authorization.k8s.io", "clusterroles"), ("rbac.authorization.k8s.io", "rolebindings"), ("", "secrets"),
    ("", "serviceaccounts"), ("certificates.k8s.io", "certificatesigningrequests"), ("", "pods"), ("", "users"),
    ("rbac.authorization.k8s.io", "unheard-of"), ("coordination.k8s.io", "leases"),
]  # fmt: skip


def findings(event: Event) -> list[detections.Finding]:
    return [*detections.examine(event), *audit_data_damaged.examine(event, datetime.now(UTC))]


def glanced(event: dict[str, Any] | bytes) -> Glance:
    (glance,) = skim(event_list(event), lambda _: False).routine
    return glance


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    group, resource = draw(st.sampled_from(ABOUT))
    subresource = draw(st.sampled_from(["", "token", "approval", "status"]))
    reference = {"apiGroup": group, "resource": resource, "subresource": subresource, "name": "x"}
    body = {"metadata": {"name": "x"}, "rules": RULES, "type": "kubernetes.io/service-account-token"}
    return creation(
        verb=draw(st.sampled_from(VERBS)),
        stage=draw(st.sampled_from(["ResponseComplete", "RequestReceived", "Panic"])),
        auditID=draw(st.sampled_from(["a", "a" * 201])),
        objectRef=draw(st.sampled_from([reference, None])),
        impersonatedUser=draw(st.sampled_from([None, {"username": "system:admin", "groups": ["system:masters"]}])),
        responseStatus=draw(st.sampled_from([None, {"code": 200}, {"code": 201}, {"code": 403}, {"code": 500}])),
        requestObject=draw(st.sampled_from([None, body])),
        annotations=draw(st.sampled_from([None, {"audit.k8s.io/truncated": "true"}])),
    )


@given(requests())
@settings(deadline=None, max_examples=300)
def test_nothing_is_found_in_what_is_passed_over_and_a_glance_judges_as_a_full_look_does(event: dict[str, Any]) -> None:
    looked_at = decoded(event)
    matters = detections.may_matter(looked_at)
    assert matters or not findings(looked_at)
    assert detections.may_matter(glanced(event)) == matters


ODD = [5, True, "x", "\ud800", [1], [["a"]], {"a": 1}, {"a": {"b": []}}, json.loads("[" * 250 + "]" * 250)]
PLACES = [
    ("level",), ("stage",), ("requestURI",), ("requestObject",), ("responseObject",), ("stageTimestamp",), ("verb",),
    ("user", "uid"), ("user", "groups"), ("user", "extra"), ("user", "username"), ("objectRef",), ("responseStatus",),
    ("objectRef", "name"), ("objectRef", "namespace"), ("objectRef", "subresource"), ("objectRef", "apiVersion"),
    ("objectRef", "resource"), ("responseStatus", "message"), ("responseStatus", "reason"), ("responseStatus", "code"),
    ("annotations", "other"), ("annotations", "authorization.k8s.io/reason"), ("sourceIPs",), ("auditID",),
    ("userAgent",),
]  # fmt: skip
LEASE = reading() | {"verb": "update", "objectRef": {"resource": "leases", "apiGroup": "coordination.k8s.io"}}


@given(
    st.sampled_from([reading(), LEASE, creation()]),
    st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(ODD)), max_size=3),
    st.sampled_from(
        [{}, {"verb": "create"}, {"verb": 5}, {"objectRef": creation()["objectRef"]}, {"auditID": "a" * 201}]
    ),
)
@settings(deadline=None, max_examples=500)
def test_nothing_is_found_in_what_is_passed_over_though_it_is_damaged_or_says_a_thing_twice(
    sound: dict[str, Any], damage: list[tuple[tuple[str, ...], Any]], twice: dict[str, Any]
) -> None:
    event = copy.deepcopy(sound)
    for (field, *inside), value in damage:
        if inside and isinstance(event.get(field), dict):
            event[field][inside[0]] = copy.deepcopy(value)
        elif not inside:
            event[field] = copy.deepcopy(value)
    # What stands there again later counts, as it does for API servers' own readers.
    first = as_bytes(twice).removesuffix(b"}") + b"," if twice else b"{"
    body = event_list(first + as_bytes(event).removeprefix(b"{"))
    skimmed, whole = skim(body, detections.may_matter), decode(body)
    if not skimmed.routine:
        assert skimmed.decoded == whole
        return
    assert len(whole.events) == len(skimmed.routine) == 1
    assert findings(whole.events[0]) == []
    assert not whole.damaged or whole.damaged[0].event is not None


def test_nothing_recorded_that_is_passed_over_is_a_finding_and_most_is() -> None:
    passed = [event for event in EVENTS if not detections.may_matter(event)]
    assert len(passed) > len(EVENTS) / 2
    assert [finding for event in passed for finding in findings(event)] == []


def test_a_write_of_a_role_a_refusal_a_borrowed_name_and_a_canary_are_looked_at() -> None:
    assert not detections.may_matter(glanced(reading()))
    assert detections.may_matter(glanced(creation()))
    assert detections.may_matter(glanced(reading() | {"impersonatedUser": {"username": "system:admin"}}))
    assert detections.may_matter(glanced(reading() | {"responseStatus": {"code": 403}}))
    assert detections.may_matter(glanced(reading() | {"auditID": "rolecall-canary-0123456789abcdef0123456789abcdef"}))
    assert not detections.may_matter(
        glanced(creation(objectRef={"resource": "leases", "apiGroup": "coordination.k8s.io"}))
    )


@pytest.mark.parametrize("field", ["objectRef", "verb"])
def test_a_write_of_which_much_is_missing_is_looked_at(field: str) -> None:
    assert detections.may_matter(glanced(as_bytes(creation() | {field: None if field == "objectRef" else ""})))
