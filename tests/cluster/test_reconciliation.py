"""What no audit event tells is found on a real API server, and what its controllers do is no alarm."""

import json
import socket
import ssl
import time
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from alerts import rbac
from alerts.models import AccessVersion, Alert, Cluster
from alerts.services import inbox, intake, inventory, listing, reconciliation, stream
from tests.cluster.conftest import APIServer
from tests.cluster.control_plane.plane import ControlPlane
from tests.cluster.scenarios import APPLY, GET_PODS, MERGE, ROLES, role
from tests.cluster.test_creations_are_detected import EVERYTHING
from tests.unit.audit.events import event_list


@pytest.fixture
def asked(api_server: APIServer, cluster: Cluster) -> Cluster:
    return connect(cluster, api_server)


def connect(cluster: Cluster, api_server: APIServer) -> Cluster:
    """Return the cluster behind the API server, which was listed and sent events before."""
    cluster.api_address, cluster.certificate_authority = api_server.address, api_server.certificate_authority
    cluster.readable = cluster.private_address_allowed = True
    cluster.set_api_token(api_server.tokens["admin"])
    cluster.last_event_at = timezone.now()
    cluster.save()
    assert listing.refresh(cluster), cluster.inventory_error
    return cluster


def event_of(api_server: APIServer, audit_id: str) -> dict[str, Any]:
    """Return the event of a request, which an API server logs a moment after it answers."""
    deadline = time.monotonic() + 10
    while True:
        found = [event for event in api_server.events() if event["auditID"] == audit_id]
        if found or time.monotonic() > deadline:
            return found[-1]
        time.sleep(0.02)


def take_in(cluster: Cluster, *events: dict[str, Any]) -> None:
    batch, _ = inbox.store_leased(cluster, event_list(*events))
    assert not intake.examine(batch).error


@pytest.mark.control_plane
def test_a_role_deleted_in_the_foreground_is_gone_with_its_finalizer_and_did_not_vanish(
    real: APIServer, cluster: Cluster
) -> None:
    assert real.ask("POST", ROLES, role("cascade", GET_PODS))[0] == 201
    connect(cluster, real)
    assert real.ask("DELETE", f"{ROLES}/cascade", {"propagationPolicy": "Foreground"})[0] == 200
    deadline = time.monotonic() + 60
    while real.ask("GET", f"{ROLES}/cascade")[0] != 404:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    asked = real.ask("GET", f"{ROLES}/cascade", audit_id="cascade gone")
    assert asked[0] == 404
    event_of(real, "cascade gone")
    take_in(cluster, *(each for each in real.events() if each.get("objectRef", {}).get("name") == "cascade"))
    assert opened(cluster) == []
    titles = Alert.objects.exclude(detection="cluster_role_created").values_list("title", flat=True)
    assert list(titles) == ["ClusterRole cascade deleted, in force until the garbage collector is done"]


def opened(cluster: Cluster) -> list[str]:
    """List the cluster, and return the titles of the alerts that open when the grace is over."""
    assert listing.refresh(cluster), cluster.inventory_error
    with time_machine.travel(timezone.now() + reconciliation.grace() + timedelta(seconds=1)):
        return sorted(alert.title for alert in reconciliation.reconcile(cluster))


def test_only_what_no_event_told_is_an_alert(api_server: APIServer, asked: Cluster) -> None:
    for name in ("told", "hidden"):
        code, _ = api_server.ask("POST", ROLES, role(f"reconcile-{name}"), audit_id=f"reconcile-{name}")
        assert code == 201
    take_in(asked, event_of(api_server, "reconcile-told"))
    assert opened(asked) == ["ClusterRole reconcile-hidden appeared without an audit event"]
    for name in ("told", "hidden"):
        code, _ = api_server.ask("DELETE", f"{ROLES}/reconcile-{name}", audit_id=f"reconcile-{name}-gone")
        assert code == 200
    take_in(asked, event_of(api_server, "reconcile-told-gone"))
    assert opened(asked) == ["ClusterRole reconcile-hidden vanished without an audit event"]
    assert opened(asked) == []


def test_an_aggregation_echo_is_no_alarm_even_when_nobody_tells_of_it(api_server: APIServer, asked: Cluster) -> None:
    part = role("reconcile-part") | {"rules": [{"apiGroups": ["reconcile.test"], "resources": ["x"], "verbs": ["get"]}]}
    part["metadata"]["labels"] = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    assert api_server.ask("POST", ROLES, part, audit_id="reconcile-part")[0] == 201
    deadline = time.monotonic() + 10
    while not all(
        "reconcile.test" in json.dumps(api_server.ask("GET", f"{ROLES}/{name}")) for name in ("view", "admin")
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    take_in(asked, event_of(api_server, "reconcile-part"))
    try:
        assert opened(asked) == []
        echoes = AccessVersion.objects.filter(explanation="aggregation")
        assert {"view", "admin"} <= set(echoes.values_list("object__name", flat=True))
    finally:
        api_server.ask("DELETE", f"{ROLES}/reconcile-part")


def test_a_replacement_by_the_same_name_is_an_alert(api_server: APIServer, asked: Cluster) -> None:
    api_server.ask("POST", ROLES, role("reconcile-again"), audit_id="reconcile-again-1")
    take_in(asked, event_of(api_server, "reconcile-again-1"))
    api_server.ask("DELETE", f"{ROLES}/reconcile-again")
    again = role("reconcile-again") | {"rules": GET_PODS}
    api_server.ask("POST", ROLES, again, audit_id="reconcile-again-2")
    take_in(asked, event_of(api_server, "reconcile-again-2"))
    try:
        assert opened(asked) == ["ClusterRole reconcile-again vanished without an audit event"]
    finally:
        api_server.ask("DELETE", f"{ROLES}/reconcile-again")


def test_a_canary_is_recorded_under_its_own_audit_id(api_server: APIServer, asked: Cluster) -> None:
    canary = stream.send_canary(asked)
    assert canary is not None, asked.canary_error
    take_in(asked, event_of(api_server, canary.audit_id))
    canary.refresh_from_db()
    assert canary.seen_at is not None


@pytest.mark.control_plane
def test_a_request_held_open_over_a_containment_is_found_when_it_undoes_it(
    real: APIServer, control_plane: ControlPlane, cluster: Cluster
) -> None:
    path, wide = f"{ROLES}/reconcile-slow", role("reconcile-slow", EVERYTHING)
    assert real.ask("POST", ROLES, wide, audit_id="slow-made")[0] == 201
    host, _, port = control_plane.address.removeprefix("https://").partition(":")
    trusted = ssl.create_default_context(cadata=control_plane.certificate_authority)
    body = json.dumps(wide).encode()
    try:
        with trusted.wrap_socket(socket.create_connection((host, int(port))), server_hostname=host) as held:
            head = [
                f"PUT {path} HTTP/1.1",
                f"Host: {host}",
                f"Authorization: Bearer {real.tokens['admin']}",
                "Audit-ID: slow-put",
                "Content-Type: application/json",
                f"Content-Length: {len(body)}",
                "Expect: 100-continue",
                "\r\n",
            ]
            held.sendall("\r\n".join(head).encode())
            # The API server reads the body from here on: the request has begun.
            assert held.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            assert real.ask("PATCH", path, {"rules": []}, content_type=MERGE, audit_id="slow-contained")[0] == 200
            held.sendall(body)
            assert held.recv(65536).startswith(b"HTTP/1.1 200")
        put = event_of(real, "slow-put")
        contained = event_of(real, "slow-contained")
        assert put["requestReceivedTimestamp"] < contained["requestReceivedTimestamp"]
        take_in(cluster, event_of(real, "slow-made"), contained)
        take_in(cluster, put)
        assert Alert.objects.filter(title="ClusterRole reconcile-slow widened").exists()
        assert inventory.access(cluster).rules(rbac.RoleRef("ClusterRole", "reconcile-slow")).rules
    finally:
        real.ask("DELETE", path)


YAML = """apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: reconcile-yaml
rules:
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
"""


@pytest.mark.control_plane
def test_an_apply_in_yaml_leaves_no_event_on_a_real_api_server_and_is_found_all_the_same(
    real: APIServer, cluster: Cluster
) -> None:
    asked = connect(cluster, real)
    path = f"{ROLES}/reconcile-yaml?fieldManager=x"
    assert real.ask("PATCH", path, YAML, content_type=APPLY, audit_id="reconcile-yaml")[0] == 201
    real.ask("GET", f"{ROLES}/reconcile-yaml", audit_id="reconcile-after-yaml")
    event_of(real, "reconcile-after-yaml")
    try:
        # The API server logs what was sent as JSON, which YAML is not, and drops the event.
        finished = [each for each in real.events() if each["auditID"] == "reconcile-yaml" and each["stage"] != "Panic"]
        assert finished == []
        assert opened(asked) == ["ClusterRole reconcile-yaml appeared without an audit event"]
        (version,) = AccessVersion.objects.filter(object__name="reconcile-yaml")
        assert version.manifest is not None
        assert version.manifest["rules"] == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
    finally:
        real.ask("DELETE", f"{ROLES}/reconcile-yaml")
