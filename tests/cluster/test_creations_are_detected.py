"""Every way in which Kubernetes makes a ClusterRole, on a real API server and on the practice cluster, is found."""

import json
import time
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from alerts import detections
from alerts.audit.decode import decode
from alerts.audit.event import Event
from alerts.detections import audit_data_damaged
from tests.cluster.conftest import APIServer
from tests.cluster.scenarios import APPLY, BINDINGS, GET_PODS, MERGE, ROLES, applied, binding, role, user

MARKUP = "<img src=x onerror=alert(1)>"
_numbers = count()
EVERYTHING = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
APPLIED = applied("detect-apply") | {"rules": GET_PODS}


def event_of(api_server: APIServer, audit_id: str) -> Event:
    """Return the event of a request, as we decode it."""
    decoded = decode(json.dumps(api_server.event(audit_id)).encode())
    assert not decoded.damaged
    return decoded.events[0]


def titles(api_server: APIServer, code: int, method: str, path: str, body: Any, **options: Any) -> list[str]:
    audit_id = f"detect {next(_numbers)}"
    answered, answer = api_server.ask(method, path, body, audit_id=audit_id, **options)
    assert answered == code, answer
    found = detections.examine(event_of(api_server, audit_id))
    return [finding.title for finding in found if finding.detection in {"cluster_role_created", "escalation_refused"}]


def test_by_post(api_server: APIServer) -> None:
    assert titles(api_server, 201, "POST", ROLES, role("detect-post")) == ["ClusterRole detect-post created"]
    assert titles(api_server, 409, "POST", ROLES, role("detect-post")) == []


def test_by_post_of_a_name_that_is_markup(api_server: APIServer) -> None:
    assert titles(api_server, 201, "POST", ROLES, role(MARKUP)) == [f"ClusterRole {MARKUP} created"]


@pytest.mark.parametrize(
    "path",
    [
        ROLES.replace(".", "%2E"),
        ROLES.replace("/apis", "/%61pis").replace("roles", "%72oles"),
        f"/{ROLES[1:].replace('/', '%2F')}/",
    ],
)
def test_under_an_escaped_address_though_its_event_is_cut(api_server: APIServer, path: str) -> None:
    audit_id = f"detect {next(_numbers)}"
    assert api_server.ask("POST", path, role(f"detect-{audit_id[7:]}"), audit_id=audit_id)[0] == 201
    logged = api_server.event(audit_id)
    assert logged["requestURI"] == path
    (cut,) = decode(json.dumps(logged).partition('"objectRef"')[0].encode()).events
    (finding,) = audit_data_damaged.examine(cut, datetime.now(UTC))
    assert finding.actor == "admin"


def test_by_server_side_apply_and_only_the_first_time(api_server: APIServer) -> None:
    path = f"{ROLES}/detect-apply?fieldManager=t"
    assert titles(api_server, 201, "PATCH", path, APPLIED, content_type=APPLY) == ["ClusterRole detect-apply created"]
    assert titles(api_server, 200, "PATCH", path, APPLIED, content_type=APPLY) == []


def test_by_a_generated_name(api_server: APIServer) -> None:
    (title,) = titles(api_server, 201, "POST", ROLES, {"metadata": {"generateName": "detect-gen-"}})
    assert title.startswith("ClusterRole detect-gen-")
    assert len(title) > len("ClusterRole detect-gen- created")


def test_by_put_of_a_new_name(api_server: APIServer) -> None:
    path = f"{ROLES}/detect-put"
    assert titles(api_server, 201, "PUT", path, role("detect-put")) == ["ClusterRole detect-put created"]
    assert titles(api_server, 200, "PUT", path, role("detect-put", EVERYTHING)) == []


@pytest.mark.parametrize(
    ("method", "path", "content_type"),
    [
        ("POST", f"{ROLES}?dryRun=All", "application/json"),
        ("PATCH", f"{ROLES}/detect-dry?dryRun=All&fieldManager=t", APPLY),
        ("PUT", f"{ROLES}/detect-dry?dryRun=All", "application/json"),
    ],
)
def test_never_by_a_dry_run(api_server: APIServer, method: str, path: str, content_type: str) -> None:
    body = applied("detect-dry") | {"rules": GET_PODS}
    assert titles(api_server, 201, method, path, body, content_type=content_type) == []


def test_never_by_a_change(api_server: APIServer) -> None:
    api_server.ask("POST", ROLES, role("detect-change"))
    path = f"{ROLES}/detect-change"
    assert titles(api_server, 200, "PATCH", path, {"rules": EVERYTHING}, content_type=MERGE) == []


@pytest.mark.control_plane
def test_a_rehearsal_that_the_api_server_does_not_see_for_parameters_is_a_creation(real: APIServer) -> None:
    path = f"{ROLES}?dryRun=All{'&a' * 10_000}"
    assert titles(real, 201, "POST", path, role("detect-crowd")) == ["ClusterRole detect-crowd created"]
    assert real.ask("DELETE", f"{ROLES}/detect-crowd")[0] == 200


def test_an_attempt_without_permission(api_server: APIServer) -> None:
    refused = titles(api_server, 403, "POST", ROLES, role("detect-refused"), user="nobody")
    assert refused == ["Attempt to create an unnamed ClusterRole"]


def test_attempts_of_somebody_who_may_write_roles_but_not_escalate_or_create(api_server: APIServer) -> None:
    write = [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["create"]}]
    patch = [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["patch", "update"]}]
    granted = (("detect-writer", write, "mallory"), ("detect-patcher", patch, "jane"))
    for name, rules, who in granted:
        api_server.ask("POST", ROLES, role(name, rules))
        api_server.ask("POST", BINDINGS, binding(name, name, user(who)))
        wait_until_allowed(api_server, who)
    escalated = titles(api_server, 403, "POST", ROLES, role("detect-escalation", EVERYTHING), user="mallory")
    assert escalated == ["Attempt to create ClusterRole detect-escalation"]
    # Rules of none need no permission of their own, so what is refused here is the creation.
    path, body = f"{ROLES}/detect-may-not?fieldManager=t", applied("detect-may-not") | {"rules": []}
    for method, content_type in (("PATCH", APPLY), ("PUT", "application/json")):
        found = titles(api_server, 403, method, path, body, user="jane", content_type=content_type)
        assert found == ["Attempt to create ClusterRole detect-may-not"]
    for name, _, _ in granted:
        api_server.ask("DELETE", f"{BINDINGS}/{name}")


def wait_until_allowed(api_server: APIServer, who: str) -> None:
    """Wait until the authorizer has seen the new binding."""
    verb = "create" if who == "mallory" else "patch"
    attributes = {"verb": verb, "group": "rbac.authorization.k8s.io", "resource": "clusterroles"}
    spec = {"user": who, "groups": ["system:authenticated"], "resourceAttributes": attributes}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        _, answer = api_server.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        if answer["status"]["allowed"]:
            return
        time.sleep(0.02)
    raise AssertionError("the binding never took effect")
