"""The audit policy that Rolecall hands out, given to a real API server."""

import base64
import json
import ssl
import time
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

from alerts import audit, detections
from alerts.audit.decode import decode
from alerts.audit.event import Event
from tests.cluster.control_plane import plane
from tests.cluster.control_plane.plane import ControlPlane
from tests.cluster.scenarios import ROLES, role
from tests.unit.detections.test_certificate_approved import CLIENT, signing_request

pytestmark = pytest.mark.control_plane
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
PASSWORD = base64.b64encode(b"hunter2").decode()


def ask(running: ControlPlane, method: str, path: str, body: Any = None) -> int:
    context = ssl.create_default_context(cadata=running.certificate_authority)
    connection = HTTPSConnection(running.address.removeprefix("https://"), context=context, timeout=10)
    headers = {"Authorization": f"Bearer {running.tokens['admin']}", "Content-Type": "application/json"}
    connection.request(method, path, body=json.dumps(body) if body else None, headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def events(running: ControlPlane, last: str) -> list[Event]:
    """Return the administrator's events once the last of them is there."""
    deadline = time.monotonic() + 10
    while True:
        found = [event for event in decode(running.audit_log.read_bytes()).events if event.actor == "admin"]
        if any(event.request_uri == last for event in found) or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def test_a_real_api_server_accepts_it_and_records_what_is_needed() -> None:
    secret = {"metadata": {"name": "db"}, "data": {"password": PASSWORD}}
    event = {"metadata": {"name": "e"}, "involvedObject": {"namespace": "default"}, "reason": "x"}
    spec = {"request": signing_request(group="ops"), "signerName": CLIENT, "usages": ["client auth"]}
    request = {"metadata": {"name": "mine"}, "spec": spec}
    approved = {"type": "Approved", "status": "True", "reason": "x", "message": "x"}
    lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    with plane.start(audit_policy=Path(audit.__file__).with_name("policy.yaml"), controllers=False) as running:
        wait_for_namespace(running)
        assert ask(running, "POST", ROLES, role("recorded")) == 201
        assert ask(running, "GET", f"{ROLES}/recorded") == 200
        assert ask(running, "POST", "/api/v1/namespaces/default/secrets", secret) == 201
        assert ask(running, "GET", "/api/v1/namespaces/default/secrets/db") == 200
        assert ask(running, "POST", lease, {"metadata": {"name": "l"}}) == 201
        assert ask(running, "POST", "/api/v1/namespaces/default/events", event) == 201
        assert ask(running, "DELETE", "/api/v1/namespaces/default/events/e") == 200
        assert ask(running, "GET", "/version") == 200
        assert ask(running, "POST", REVIEWS, {"spec": {"nonResourceAttributes": {"verb": "get", "path": "/"}}}) == 201
        assert ask(running, "POST", REQUESTS, request) == 201
        assert ask(running, "PUT", f"{REQUESTS}/mine/approval", request | {"status": {"conditions": [approved]}}) == 200
        assert ask(running, "DELETE", f"{ROLES}/recorded") == 200
        found = events(running, f"{ROLES}/recorded")
        raw = running.audit_log.read_text()
    recorded = [(each.verb, each.resource, each.level) for each in found if each.resource != "namespaces"]
    assert recorded == [
        ("create", "clusterroles", "RequestResponse"),
        ("get", "clusterroles", "Metadata"),
        ("create", "secrets", "Metadata"),
        ("get", "secrets", "Metadata"),
        ("delete", "events", "Metadata"),
        # Our canary: without its event nobody could tell silence from peace.
        ("create", "selfsubjectaccessreviews", "Metadata"),
        ("create", "certificatesigningrequests", "RequestResponse"),
        ("update", "certificatesigningrequests", "RequestResponse"),
        ("delete", "clusterroles", "RequestResponse"),
    ]
    assert {each.stage for each in found} == {"ResponseComplete"}
    assert PASSWORD not in raw
    assert "managedFields" not in raw
    findings = [finding for each in found for finding in detections.examine(each)]
    assert [(finding.title, bool(finding.uid)) for finding in findings] == [
        ("ClusterRole recorded created", True),
        ("Certificate request mine approved: user eve in ops", True),
        ("ClusterRole recorded deleted", True),
    ]


def wait_for_namespace(running: ControlPlane) -> None:
    deadline = time.monotonic() + 10
    while ask(running, "GET", "/api/v1/namespaces/default") != 200 and time.monotonic() < deadline:
        time.sleep(0.02)
