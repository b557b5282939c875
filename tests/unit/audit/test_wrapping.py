import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from alerts import detections
from alerts.audit import cloud_logging, envelope, wrapping
from alerts.audit.decode import decode
from alerts.audit.event import Event
from alerts.audit.log import Log, bodies
from alerts.audit.salvage import CUT
from tests.conftest import DATA
from tests.unit.audit.events import RULES, UID, as_bytes, creation, decoded, event_list, reading

FILES = sorted((DATA / "audit" / "envelopes").iterdir())
WHOLE = [path for path in FILES if not path.name.startswith("cut-")]
CUT_SHORT = [path for path in FILES if path.name.startswith("cut-")]
(FINDING,) = detections.examine(decoded(creation("metrics-scraper-v2")))


def wrapped(levels: int) -> bytes:
    body = as_bytes(reading())
    for _ in range(levels):
        body = json.dumps({"message": body.decode()}).encode()
    return body


def entry(path: str = "gke-log-entry.json", **payload: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / "audit" / "envelopes" / path).read_text())
    found["protoPayload"] = {
        key: value for key, value in (found["protoPayload"] | payload).items() if value is not None
    }
    return found


def from_google(found: dict[str, Any]) -> Event:
    (event,) = decode(json.dumps(found).encode()).events
    return event


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.name)
def test_the_same_creation_is_the_same_finding_in_every_envelope(path: Path) -> None:
    found = decode(path.read_bytes())
    assert not found.damaged
    assert [finding.fingerprint for event in found.events for finding in detections.examine(event)] == [
        FINDING.fingerprint
    ]
    assert {event.verb for event in found.events} <= {"create", "get"}


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.name)
def test_a_creation_says_the_same_in_every_envelope(path: Path) -> None:
    (event,) = (each for each in decode(path.read_bytes()).events if each.verb == "create")
    assert (event.actor, event.group, event.resource, event.name, event.code) == (
        "mallory@example.com",
        "rbac.authorization.k8s.io",
        "clusterroles",
        "metrics-scraper-v2",
        201,
    )
    assert (event.source_ips, event.user_agent) == (("198.51.100.23",), "kubectl/v1.32.4")
    assert event.response["metadata"]["uid"] == UID
    assert (event.response["kind"], event.request["rules"]) == ("ClusterRole", RULES)
    assert (event.decision, event.audit_id) == ("allow", "6f0a6c1e-0000-4000-8000-00000000000b")
    assert event.at is not None
    assert f"{event.at:%FT%H:%M:%S}" == "2026-11-23T18:00:01"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_gives_the_same_events_as_a_body_or_as_a_log(path: Path) -> None:
    content = path.read_bytes()
    read = [event for body in bodies(Log([content])) for event in decode(body).events]
    assert sorted(event.sha256 for event in read) == sorted(event.sha256 for event in decode(content).events)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_gzip_of_every_envelope_is_read(path: Path) -> None:
    content = path.read_bytes()
    for times in (1, 2):
        content = gzip.compress(content)
        assert decode(content).events == decode(path.read_bytes()).events
        assert len(list(bodies(Log([content])))) == len(list(bodies(Log([path.read_bytes()])))), times


@pytest.mark.parametrize("path", CUT_SHORT, ids=lambda path: path.name)
def test_of_a_cut_event_everything_before_the_cut_is_known_and_the_rest_is_not(path: Path) -> None:
    found = decode(path.read_bytes())
    assert [(item.reason, item.event is not None) for item in found.damaged] == [(CUT, True)] or path.name == (
        "cut-gke.jsonl"
    )
    assert found.sound == 1
    (event,) = (each for each in found.events if each.salvaged)
    assert event.incomplete
    assert (event.actor, event.name, event.request["rules"]) == ("mallory@example.com", "metrics-scraper-v2", RULES)
    assert event.response is None
    assert [finding.title for finding in detections.examine(event)] == ["ClusterRole metrics-scraper-v2 created"]
    assert event.at is not None or path.name == "cut-gke.jsonl"


def test_google_s_entries_leave_unknown_what_they_do_not_say() -> None:
    event = from_google(entry())
    assert (event.stage, event.level, event.request_uri, event.dry_run) == (None, None, None, None)
    assert (event.user.groups, event.user.uid) == (None, None)
    assert event.writes_rbac


def test_google_s_entries_are_the_same_event_however_they_are_written() -> None:
    reversed_ = {key: entry()[key] for key in reversed(entry())}
    assert len({from_google(each).sha256 for each in (entry(), reversed_)}) == 1


@pytest.mark.parametrize(
    ("resource_name", "method", "expected"),
    [
        ("core/v1/namespaces/web", "core.v1.namespaces.create", ("", "namespaces", "", "", "web")),
        ("core/v1/namespaces/a/status", "core.v1.namespaces.status.patch", ("", "namespaces", "status", "", "a")),
        ("core/v1/namespaces/web/pods/p-1/exec", "core.v1.pods.exec.create", ("", "pods", "exec", "web", "p-1")),
        ("core/v1/nodes/n1/proxy/metrics/cadvisor", "core.v1.nodes.proxy.get", ("", "nodes", "proxy", "", "n1")),
        (
            "rbac.authorization.k8s.io/v1/namespaces/web/roles",
            "authorization.rbac.v1.roles.deletecollection",
            ("rbac.authorization.k8s.io", "roles", "", "web", ""),
        ),
        (
            "certificates.k8s.io/v1/certificatesigningrequests/c/approval",
            "certificates.v1.certificatesigningrequests.approval.update",
            ("certificates.k8s.io", "certificatesigningrequests", "approval", "", "c"),
        ),
        ("version", "version.get", ("", "", "", "", "")),
    ],
)  # fmt: skip
def test_google_s_resource_names_are_told_apart(
    resource_name: str, method: str, expected: tuple[str, str, str, str, str]
) -> None:
    event = from_google(entry(resourceName=resource_name, methodName=f"io.k8s.{method}", response=None))
    assert (event.group, event.resource, event.subresource, event.namespace, event.name) == expected
    assert event.verb == method.rpartition(".")[2]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"status": {"code": 7, "message": "forbidden"}}, 403),
        ({"status": {"code": 6}}, 409),
        ({"status": {"code": 99}}, 500),
        ({"status": {"code": "7"}}, 500),
        ({"response": {"@type": "core.k8s.io/v1.Status", "code": 422, "reason": "Invalid"}}, 422),
        ({"status": None, "response": None}, None),
        ({"methodName": "io.k8s.authorization.rbac.v1.clusterroles.delete"}, 200),
    ],
)
def test_google_s_codes_are_those_of_http(payload: dict[str, Any], code: int | None) -> None:
    assert from_google(entry(**payload)).code == code


def test_an_exec_that_google_calls_unknown_was_a_connection_taken_over() -> None:
    found = entry(
        resourceName="core/v1/namespaces/web/pods/p-1/exec",
        methodName="io.k8s.core.v1.pods.exec.create",
        status={"code": 2},
        response=None,
    )
    assert from_google(found).code == 101


@pytest.mark.parametrize(("created", "code"), [("2026-11-23T18:00:01Z", 201), ("2026-10-01T00:00:00Z", 200)])
def test_a_patch_at_google_is_a_creation_where_its_answer_was_just_made(created: str, code: int) -> None:
    answer = {"metadata": {"name": "metrics-scraper-v2", "uid": UID, "creationTimestamp": created}}
    event = from_google(entry(methodName="io.k8s.authorization.rbac.v1.clusterroles.patch", response=answer))
    assert event.code == code
    (finding,) = detections.examine(event)
    assert (finding.detection == "cluster_role_created") == (code == 201)


def test_impersonation_at_google_is_known() -> None:
    event = from_google(entry(authenticationInfo={"principalEmail": "a@b.example", "authoritySelector": "admin"}))
    assert event.impersonated_user is not None
    assert (event.actor, event.impersonated_user.username) == ("a@b.example", "admin")


def test_the_beginning_of_a_long_request_at_google_is_not_its_end() -> None:
    found = entry() | {"operation": {"id": "1", "first": True, "last": False}}
    assert from_google(found).stage == "ResponseStarted"


def test_an_entry_that_names_no_method_is_damaged() -> None:
    found = decode(json.dumps(entry(methodName=None)).encode())
    assert [item.reason for item in found.damaged] == [cloud_logging.NOT_AN_EVENT]


def test_a_wrapping_inside_a_request_is_no_wrapping() -> None:
    inside = {"records": [creation("smuggled")], "message": as_bytes(creation("smuggled")).decode(), "logEvents": []}
    for event in (creation("outer", requestObject=inside), inside | creation("outer")):
        assert [each.name for each in decode(event_list(event)).events] == ["outer"]
        assert [each.name for each in decode(as_bytes(event)).events] == ["outer"]


def test_a_damaged_record_leaves_the_others_alone() -> None:
    records = [as_bytes(reading("a")).decode(), "{{{", as_bytes(reading("b")).decode()]
    body = json.dumps({"messageType": "DATA_MESSAGE", "logEvents": [{"message": each} for each in records]}).encode()
    found = decode(body)
    assert [event.audit_id for event in found.events] == ["a", "b"]
    assert [item.raw for item in found.damaged] == [b"{{{"]


def test_what_should_be_base64_and_is_not_is_damaged() -> None:
    found = decode(b'{"records":[{"data":"H4s"},{"data":"aGVsbG8="}]}')
    assert [item.reason for item in found.damaged] == [wrapping.NOT_BASE64, envelope.NOT_JSON]


def test_a_body_wrapped_again_and_again_is_opened_only_so_often() -> None:
    assert len(decode(wrapped(5)).events) == 1
    assert [item.reason for item in decode(wrapped(envelope.DEEPEST + 1)).damaged] == [envelope.WRAPPED_TOO_OFTEN]
    body = as_bytes(reading())
    for _ in range(30):
        body = gzip.compress(body)
    assert [item.reason for item in decode(body).damaged] == [envelope.WRAPPED_TOO_OFTEN]


def test_many_small_bombs_in_one_body_share_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "INFLATED_LIMIT", 50_000)
    bomb = base64.b64encode(gzip.compress(as_bytes(reading()) + b" " * 20_000)).decode()
    found = decode(json.dumps({"records": [{"data": bomb}] * 10}).encode())
    assert len(found.events) == 3
    assert {item.reason for item in found.damaged} >= {envelope.INFLATES_TOO_FAR}
