"""What was left behind is removed on a practice cluster and on a real one: planned, rehearsed, run and proved."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from alerts.cluster.api import ClusterAPI
from alerts.cluster.errors import NotFound
from alerts.cluster.kinds import KINDS, Manifest, ObjectReference
from alerts.models import Alert, Cluster, RemedyItem, Revocation
from alerts.services import revocation
from tests.cluster.conftest import NAMESPACE, APIServer, give
from tests.cluster.scenarios import BINDINGS
from tests.factories import make_alert

State = Revocation.State
POD: Manifest = {"containers": [{"name": "main", "image": "example.org/x:1"}]}
TEMPLATE: Manifest = {"metadata": {"labels": {"app": "left"}}, "spec": POD}
SELECTED: Manifest = {"selector": {"matchLabels": {"app": "left"}}, "template": TEMPLATE}
JOB: Manifest = {"template": {"spec": POD | {"restartPolicy": "Never"}}}
SPECS: dict[str, Manifest] = {
    "ServiceAccount": {},
    "Pod": {"spec": POD},
    "Deployment": {"spec": SELECTED},
    "DaemonSet": {"spec": SELECTED},
    "CronJob": {"spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": JOB}}},
}

type Leave = Callable[..., RemedyItem]


@pytest.fixture(autouse=True)
def _no_grace(settings: Settings) -> None:
    settings.REVOKE_GRACE_SECONDS = 0


@pytest.fixture
def alert(connected: Cluster) -> Alert:
    return make_alert(connected, "left-behind")


@pytest.fixture
def remover(api_server: APIServer) -> Iterator[None]:
    """Let Rolecall's account delete what deploy/rbac/remover.yaml lets it delete, as long as the test lasts."""
    give(api_server, "remover", to="deployed")
    yield
    assert api_server.ask("DELETE", f"{BINDINGS}/contract-remover")[0] == 200


@pytest.fixture
def leave(alert: Alert, admin: ClusterAPI) -> Iterator[Leave]:
    """Make an object as an attacker would, and the item of the alert's list for it; in the end none is there."""
    made: list[ObjectReference] = []

    def leave(kind: str, name: str, **metadata: Any) -> RemedyItem:
        place = {"name": name, "namespace": NAMESPACE} | metadata
        manifest = {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": place} | SPECS[kind]
        reference = ObjectReference.of(admin.create(manifest))
        made.append(reference)
        title = str(reference)
        return RemedyItem.objects.create(
            alert=alert, digest=RemedyItem.digest_of("workload", title), kind="workload", title=title,
            command="kubectl delete …", made_by="mallory", made_at=timezone.now(), state=RemedyItem.State.THERE,
            object_kind=kind, namespace=NAMESPACE, name=name,
        )  # fmt: skip

    yield leave
    for reference in made:
        # The garbage collector may be quicker.
        with suppress(NotFound):
            admin.patch(reference, {"metadata": {"finalizers": None}})
            admin.delete(reference, uid=admin.read(reference)["metadata"]["uid"], resource_version=None)


def exists(admin: ClusterAPI, reference: ObjectReference) -> bool:
    try:
        admin.read(reference)
    except NotFound:
        return False
    return True


def about(item: RemedyItem) -> ObjectReference:
    return ObjectReference(item.object_kind, item.namespace, item.name)


def plan(alert: Alert, *items: RemedyItem) -> Revocation:
    return revocation.plan_removal(alert, [item.pk for item in items])


def run(planned: Revocation, by: User) -> Revocation:
    assert planned.state == State.PLANNED, planned.error
    return revocation.run(revocation.request(planned, by=by, reason="Left behind", digest=planned.digest))


def test_workloads_and_accounts_go_and_their_items_are_ticked(
    alert: Alert, remover: None, leave: Leave, admin: ClusterAPI, rex: User, api_server: APIServer
) -> None:
    items = [leave(kind, f"left-{kind.lower()}") for kind in SPECS]
    planned = plan(alert, *items)
    assert [answer["outcome"] for answer in planned.rehearsal] == ["accepted"] * len(items)
    assert all(exists(admin, about(item)) for item in items)
    ended = run(planned, rex)
    assert (ended.state, ended.error) == (State.DONE, "")
    assert not any(exists(admin, about(item)) for item in items)
    for number, item in enumerate(items):
        item.refresh_from_db()
        assert (item.state, item.ticked_by) == ("gone", rex)
        assert api_server.event(f"rolecall-{ended.pk}-{number}")["verb"] == "delete"
    assert alert.activities.filter(kind="remedied", by=rex).count() == len(items)
    assert alert.steps.get(key="revoke").outcome == ""


def test_only_what_was_chosen_goes(alert: Alert, remover: None, leave: Leave, admin: ClusterAPI, rex: User) -> None:
    gone, kept = leave("CronJob", "chosen"), leave("CronJob", "not-chosen")
    assert run(plan(alert, gone), rex).state == State.DONE
    assert (exists(admin, about(gone)), exists(admin, about(kept))) == (False, True)
    assert revocation.removable(alert) == [kept]


def test_what_was_made_again_since_the_plan_stays(
    alert: Alert, remover: None, leave: Leave, admin: ClusterAPI, rex: User
) -> None:
    item = leave("ServiceAccount", "again")
    planned = plan(alert, item)
    admin.delete(about(item), uid=planned.plan[0]["uid"], resource_version=None)
    admin.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "again", "namespace": NAMESPACE}})
    ended = run(planned, rex)
    assert (ended.state, ended.results[0]["outcome"]) == (State.FAILED, "replaced")
    assert exists(admin, about(item))
    item.refresh_from_db()
    assert item.ticked_by is None


def test_what_a_finalizer_keeps_is_not_called_gone(alert: Alert, remover: None, leave: Leave, rex: User) -> None:
    free, held = leave("CronJob", "free"), leave("CronJob", "held", finalizers=["example.com/hold"])
    planned = plan(alert, free, held)
    assert planned.rehearsal[1]["outcome"] == "held"
    assert "example.com/hold" in planned.warnings[0]["text"]
    ended = run(planned, rex)
    assert (ended.state, [each["outcome"] for each in ended.results]) == (State.PARTLY, ["deleted", "held"])
    free.refresh_from_db()
    held.refresh_from_db()
    assert (free.ticked_by, held.ticked_by) == (rex, None)


def test_without_the_permission_the_plan_names_the_rule_and_nothing_goes(
    alert: Alert, leave: Leave, admin: ClusterAPI
) -> None:
    item = leave("DaemonSet", "not-ours")
    planned = plan(alert, item)
    assert planned.state == State.REFUSED
    assert '"daemonsets"' in planned.error
    assert revocation.by_hand(planned)
    assert exists(admin, about(item))


def test_what_has_an_owner_is_said_to_return(alert: Alert, remover: None, leave: Leave, admin: ClusterAPI) -> None:
    owner = leave("Deployment", "owner")
    uid = admin.read(about(owner))["metadata"]["uid"]
    owned = leave(
        "Pod", "owned", ownerReferences=[{"apiVersion": "apps/v1", "kind": "Deployment", "name": "owner", "uid": uid}]
    )
    planned = plan(alert, owned)
    assert any("is owned by Deployment owner" in warning["text"] for warning in planned.warnings)
