"""A revoke on a practice cluster and on a real one: same plan, same end, same proof."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from alerts.cluster.api import ClusterAPI
from alerts.cluster.errors import NotFound
from alerts.cluster.kinds import ObjectReference
from alerts.models import Alert, Cluster, Revocation
from alerts.services import revocation
from tests.cluster.conftest import NAMESPACE, APIServer
from tests.factories import make_alert

RBAC = "rbac.authorization.k8s.io"
State = Revocation.State


@pytest.fixture(autouse=True)
def _no_grace(settings: Settings) -> None:
    settings.REVOKE_GRACE_SECONDS = 0


@pytest.fixture
def admin(api_server: APIServer) -> Iterator[ClusterAPI]:
    with api_server.client() as api:
        yield api


@pytest.fixture
def connected(cluster: Cluster, api_server: APIServer) -> Cluster:
    cluster.api_address = api_server.address
    cluster.certificate_authority = api_server.certificate_authority
    cluster.readable = cluster.revocable = cluster.private_address_allowed = True
    cluster.set_api_token(api_server.tokens["admin"])
    cluster.save()
    return cluster


def role(admin: ClusterAPI, name: str, **metadata: Any) -> ObjectReference:
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}]
    manifest = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name, **metadata}}
    return ObjectReference.of(admin.create(manifest | {"rules": rules}))


def bind(admin: ClusterAPI, name: str, *, namespace: str = "", user: str = "jane") -> ObjectReference:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    manifest: dict[str, Any] = {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata}
    manifest["roleRef"] = {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}
    manifest["subjects"] = [{"apiGroup": RBAC, "kind": "User", "name": user}]
    return ObjectReference.of(admin.create(manifest))


def alert_on(cluster: Cluster, admin: ClusterAPI, reference: ObjectReference) -> Alert:
    return make_alert(cluster, reference.name, object_uid=admin.read(reference)["metadata"]["uid"])


def run(planned: Revocation, by: User) -> Revocation:
    assert planned.state == State.PLANNED, planned.error
    return revocation.run(revocation.request(planned, by=by, reason="Not authorised", digest=planned.digest))


@pytest.mark.parametrize("name", ["revoked", "<b> 'two' \"words\"\n*"])
def test_a_role_and_its_bindings_go_and_their_holders_lose_it(
    connected: Cluster, admin: ClusterAPI, rex: User, api_server: APIServer, name: str
) -> None:
    gone = [role(admin, name), bind(admin, name), bind(admin, name, namespace=NAMESPACE, user="mallory")]
    ended = run(revocation.plan(alert_on(connected, admin, gone[0])), rex)
    assert (ended.state, ended.error) == (State.DONE, "")
    for reference in gone:
        with pytest.raises(NotFound):
            admin.read(reference)
    assert [check["passed"] for check in ended.proof["holders"]] == [True, True]
    for number in range(3):
        assert api_server.event(f"rolecall-{ended.pk}-{number}")["verb"] == "delete"


def test_a_role_changed_since_the_plan_stays(connected: Cluster, admin: ClusterAPI, rex: User) -> None:
    reference = role(admin, "changed")
    planned = revocation.plan(alert_on(connected, admin, reference))
    admin.patch(reference, {"metadata": {"labels": {"touched": "yes"}}})
    ended = run(planned, rex)
    assert (ended.state, ended.results[0]["outcome"]) == (State.FAILED, "changed")
    assert admin.read(reference)


def test_a_role_made_again_since_the_plan_stays(connected: Cluster, admin: ClusterAPI, rex: User) -> None:
    reference = role(admin, "made-again")
    planned = revocation.plan(alert_on(connected, admin, reference))
    admin.delete(reference, uid=planned.plan[0]["uid"], resource_version=None)
    role(admin, "made-again")
    ended = run(planned, rex)
    assert (ended.state, ended.results[0]["outcome"]) == (State.FAILED, "replaced")
    assert admin.read(reference)


def test_a_finalizer_keeps_it_in_force_and_containing_ends_that(
    connected: Cluster, admin: ClusterAPI, rex: User
) -> None:
    reference = role(admin, "held", finalizers=["example.com/keep"])
    alert = alert_on(connected, admin, reference)
    ended = run(revocation.plan(alert), rex)
    assert (ended.state, ended.results[0]["outcome"]) == (State.FAILED, "held")
    assert "still in force" in ended.error
    contained = run(revocation.plan(alert, "contain"), rex)
    assert (contained.state, contained.results[0]["outcome"]) == (State.DONE, "emptied")
    assert not admin.read(reference)["rules"]
    admin.patch(reference, {"metadata": {"finalizers": None}})


def test_what_kubernetes_ships_is_refused_before_anything_is_sent(connected: Cluster, admin: ClusterAPI) -> None:
    planned = revocation.plan(alert_on(connected, admin, ObjectReference("ClusterRole", "", "edit")))
    assert planned.state == State.REFUSED
    assert planned.refusals
    assert planned.rehearsal == []
