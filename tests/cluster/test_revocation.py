"""A revoke on a practice cluster and on a real one: same plan, same end, same proof."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from alerts.cluster.api import ClusterAPI
from alerts.cluster.errors import NotFound
from alerts.cluster.kinds import ObjectReference
from alerts.models import Alert, Cluster, Revocation
from alerts.services import revocation
from alerts.services.revocation import execution
from tests import faults
from tests.cluster.conftest import NAMESPACE, APIServer, give
from tests.factories import make_alert
from tests.faults import Answer, Network

RBAC = "rbac.authorization.k8s.io"
State = Revocation.State


@pytest.fixture(autouse=True)
def _no_grace(settings: Settings) -> None:
    settings.REVOKE_GRACE_SECONDS = 0


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


@pytest.fixture
def between(connected: Cluster, api_server: APIServer) -> Iterator[Network]:
    """The network between Rolecall and the cluster, which does what it is told."""
    with faults.network(api_server.address, api_server.certificate_authority) as network:
        connected.api_address, connected.certificate_authority = network.address, ""
        connected.save()
        yield network


@pytest.fixture
def asked(connected: Cluster, between: Network, admin: ClusterAPI, rex: User) -> Iterator[Revocation]:
    """A role with one binding, asked to be revoked at once; whatever is left of it is removed in the end."""
    made = [role(admin, "faulty"), bind(admin, "faulty")]
    planned = revocation.plan(alert_on(connected, admin, made[0]))
    assert planned.state == State.PLANNED, planned.error
    yield revocation.request(planned, by=rex, reason="Not authorised", digest=planned.digest)
    for reference in made:
        if exists(admin, reference):
            uid = admin.read(reference)["metadata"]["uid"]
            admin.delete(reference, uid=uid, resource_version=None)


ROLE = ObjectReference("ClusterRole", "", "faulty")
BINDING = ObjectReference("ClusterRoleBinding", "", "faulty")


def exists(admin: ClusterAPI, reference: ObjectReference) -> bool:
    try:
        admin.read(reference)
    except NotFound:
        return False
    return True


def outcomes(ended: Revocation) -> list[str]:
    return [result["outcome"] for result in ended.results]


def later(**by: float) -> time_machine.travel:
    return time_machine.travel(timezone.now() + timedelta(**by), tick=True)


def test_an_api_server_gone_midway_pauses_the_run_which_then_ends_it(
    asked: Revocation, between: Network, admin: ClusterAPI
) -> None:
    between.plan("lose", contains="clusterroles/")
    paused = revocation.run(asked)
    assert (paused.state, outcomes(paused)) == (State.RUNNING, ["deleted", "sent"])
    with later(seconds=6):
        ended = revocation.run(asked)
    assert (ended.state, outcomes(ended)) == (State.DONE, ["deleted", "deleted"])
    assert not exists(admin, ROLE)


def test_a_time_out_after_the_deletion_took_effect_is_found_out_by_reading(
    asked: Revocation, between: Network, admin: ClusterAPI
) -> None:
    between.plan("swallow", contains="clusterroles/")
    ended = revocation.run(asked)
    assert (ended.state, outcomes(ended)) == (State.DONE, ["deleted", "deleted"])
    assert not exists(admin, ROLE)


def test_a_conflict_leaves_the_object_and_a_new_plan_tells_the_difference_and_finishes(
    asked: Revocation, between: Network, admin: ClusterAPI, rex: User
) -> None:
    def touch() -> None:
        admin.patch(ROLE, {"metadata": {"labels": {"touched": "yes"}}})

    between.plan(touch, contains="clusterroles/")
    ended = revocation.run(asked)
    assert (ended.state, outcomes(ended)) == (State.PARTLY, ["deleted", "changed"])
    again = revocation.plan(asked.alert)
    assert again.effects["drift"][0]["text"] == "ClusterRole faulty was changed."
    assert any('"touched": "yes"' in line for line in again.effects["drift"][0]["lines"])
    assert run(again, rex).state == State.DONE
    assert not exists(admin, ROLE)


def test_what_the_account_may_not_do_names_the_rule_and_the_rest_is_done(
    asked: Revocation, connected: Cluster, admin: ClusterAPI, api_server: APIServer
) -> None:
    rules = [
        {"apiGroups": [RBAC], "resources": ["*"], "verbs": ["get", "list"]},
        {"apiGroups": [RBAC], "resources": ["clusterrolebindings"], "verbs": ["delete"]},
    ]
    manifest = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "half"}, "rules": rules}
    made = [ObjectReference.of(admin.create(manifest)), bind(admin, "half", user="nobody")]
    connected.set_api_token(api_server.tokens["nobody"])
    connected.save()
    ended = revocation.run(asked)
    for reference in made:
        admin.delete(reference, uid=admin.read(reference)["metadata"]["uid"], resource_version=None)
    assert (ended.state, outcomes(ended)) == (State.PARTLY, ["deleted", "forbidden"])
    assert '"resources": ["clusterroles"]' in ended.error
    assert exists(admin, ROLE)


def test_an_overloaded_api_server_is_left_alone_as_long_as_it_asks(asked: Revocation, between: Network) -> None:
    between.plan(Answer(429, "too many requests", {"Retry-After": "30"}))
    assert revocation.run(asked).state == State.RUNNING
    with later(seconds=25):
        assert revocation.due() == []
    with later(seconds=31):
        assert revocation.run(asked).state == State.DONE


class Killed(BaseException):
    """What happens to a worker that is killed: nothing of ours catches it."""


def test_a_worker_killed_between_two_deletions_is_continued_by_another(
    asked: Revocation, between: Network, admin: ClusterAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def execute(api: ClusterAPI, target: Any, **rest: Any) -> tuple[str, str]:
        if target.kind == "ClusterRole":
            raise Killed
        return execution.execute(api, target, **rest)

    with monkeypatch.context() as patched:
        patched.setattr("alerts.services.revocation.running.execute", execute)
        with pytest.raises(Killed):
            revocation.run(asked)
    assert (exists(admin, BINDING), exists(admin, ROLE)) == (False, True)
    with later(minutes=2):
        assert revocation.due() == [asked.pk]
        ended = revocation.run(asked)
    assert (ended.state, outcomes(ended)) == (State.DONE, ["deleted", "deleted"])
    assert len(between.sent("DELETE")) == 2


def test_of_two_workers_at_once_one_deletes(
    asked: Revocation, between: Network, admin: ClusterAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def execute(*args: Any, **rest: Any) -> tuple[str, str]:
        assert revocation.run(asked).state == State.RUNNING  # the other worker, in the middle of the first one's run
        return execution.execute(*args, **rest)

    monkeypatch.setattr("alerts.services.revocation.running.execute", execute)
    assert revocation.run(asked).state == State.DONE
    assert [path.rpartition("/")[0].rpartition("/")[2] for path in between.sent("DELETE")] == [
        "clusterrolebindings",
        "clusterroles",
    ]
    assert not exists(admin, ROLE)


def test_role_first_ends_every_grant_with_the_first_call(
    connected: Cluster, admin: ClusterAPI, rex: User, api_server: APIServer
) -> None:
    gone = [role(admin, "urgent"), bind(admin, "urgent")]
    planned = revocation.plan(alert_on(connected, admin, gone[0]), choice=revocation.Choice(role_first=True))
    assert [each["kind"] for each in planned.plan] == ["ClusterRole", "ClusterRoleBinding"]
    ended = run(planned, rex)
    assert (ended.state, outcomes(ended)) == (State.DONE, ["deleted", "deleted"])
    deletions = [event for event in api_server.events() if event["auditID"].startswith(f"rolecall-{ended.pk}-")]
    assert [each["objectRef"]["resource"] for each in deletions[-2:]] == ["clusterroles", "clusterrolebindings"]


def test_taking_the_label_off_ends_what_a_role_feeds_and_its_own_holders_keep_it(
    connected: Cluster, admin: ClusterAPI, rex: User, api_server: APIServer
) -> None:
    # Kubernetes lets nobody change a role whose rules they do not hold, not even its labels.
    connected.set_api_token(api_server.tokens["admin"])
    connected.save()
    selector = {"matchLabels": {"example.com/feeds": "yes"}}
    parent = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "fed"}, "rules": []}
    admin.create(parent | {"aggregationRule": {"clusterRoleSelectors": [selector]}})
    bind(admin, "fed", user="mallory")
    child = role(admin, "feeding", labels={"example.com/feeds": "yes", "kept": "yes"})
    bind(admin, "feeding", user="jane")
    choice = revocation.Choice(labels_only=True)
    planned = revocation.plan(alert_on(connected, admin, child), "contain", choice=choice)
    assert [loss["subject"] for loss in planned.effects["losses"]] == ["user mallory"]
    asked = revocation.request(planned, by=rex, reason="x", digest=planned.digest, typed_name="feeding")
    ended = revocation.run(asked)
    assert (ended.state, outcomes(ended)) == (State.DONE, ["unlabelled"])
    assert [check["passed"] for check in ended.proof["holders"]] == [True]
    live = admin.read(child)
    assert (live["metadata"]["labels"], bool(live["rules"])) == ({"kept": "yes"}, True)


def test_the_account_of_deploy_puts_it_back_and_nothing_else_is_overwritten(
    connected: Cluster, admin: ClusterAPI, rex: User, api_server: APIServer
) -> None:
    give(api_server, "restorer", to="restorer")
    connected.set_restorer_token(api_server.tokens["restorer"])
    connected.save()
    gone = [role(admin, "undone"), bind(admin, "undone"), bind(admin, "undone", namespace=NAMESPACE)]
    ended = run(revocation.plan(alert_on(connected, admin, gone[0])), rex)
    admin.create(
        {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "undone"}}
        | {"roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"}, "subjects": []}
    )
    undone = revocation.put_back(revocation.undo(ended, by=rex, reason="It was needed"))
    told = {each["key"]: (each["outcome"], each["uid"]) for each in undone.results}
    assert undone.state == "partly"
    assert told["ClusterRole//undone"] == ("restored", admin.read(gone[0])["metadata"]["uid"])
    assert told["ClusterRoleBinding//undone"] == ("exists", "")
    assert told[f"RoleBinding/{NAMESPACE}/undone"][0] == "restored"
    assert admin.read(gone[1])["roleRef"]["name"] == "view"
