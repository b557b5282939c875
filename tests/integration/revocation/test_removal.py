"""The page on which what was left behind is removed, from the list on the alert to the ticks, without JavaScript."""

import html
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from alerts import tasks
from alerts.cluster.kinds import ObjectReference
from alerts.models import Alert, Cluster, RemedyItem, Revocation
from alerts.services import revocation
from tests.conftest import logged_in, make_user
from tests.integration.revocation.conftest import ROLE, Scene, hear_of_the_attack
from tests.recorded import gathered

State = Revocation.State
DAEMON_SET = ObjectReference("DaemonSet", "kube-system", "node-exporter-x")
CRON_JOB = ObjectReference("CronJob", "kube-system", "kube-metrics-sync")


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What pages wake in the background, which here has no worker."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(tasks, "wake", lambda task, *args, after=0: calls.append((task.name, *args, after)))
    return calls


@pytest.fixture
def attack(prod: Cluster, no_grace: None) -> Alert:
    """The alert on the attack's role, with what the attack left behind."""
    hear_of_the_attack(prod)
    return gathered(Alert.objects.get(object__name=ROLE.name, detection="cluster_role_created"))


def item(alert: Alert, reference: ObjectReference) -> RemedyItem:
    return alert.remedy_items.get(object_kind=reference.kind, name=reference.name)


def address(alert: Alert, name: str = "remove") -> str:
    return reverse(f"alerts:{name}", args=[alert.pk])


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())))


def choose(client: Client, alert: Alert, *references: ObjectReference) -> Revocation:
    client.post(address(alert, "remove_plan"), {"item": [item(alert, each).pk for each in references]})
    planned = revocation.current(alert, "remove")
    assert planned is not None
    return planned


def test_the_alert_leads_to_a_page_that_offers_what_is_still_there(as_rex: Client, attack: Alert) -> None:
    assert address(attack) in as_rex.get(attack.get_absolute_url()).content.decode()
    page = as_rex.get(address(attack)).content.decode()
    offered = dict(re.findall(r'name="item" value="(\d+)"( checked)?', page))
    # What the maker did besides, with other permissions, is offered and not chosen.
    assert offered[str(item(attack, DAEMON_SET).pk)]
    assert not offered[str(item(attack, ObjectReference("ServiceAccount", "kube-system", "metrics-scraper")).pk)]
    assert "Read" not in {each.state for each in revocation.removable(attack)}


def test_it_is_planned_run_proved_and_ticked(
    as_rex: Client, attack: Alert, scene: Scene, rex: User, woken: list[tuple[Any, ...]]
) -> None:
    planned = choose(as_rex, attack, DAEMON_SET, CRON_JOB)
    text = text_of(as_rex.get(address(attack)))
    for said in (
        "Remove 1 CronJob and 1 DaemonSet",
        "✓ made when the event says",
        "✓ rehearsed",
        "The garbage collector deletes its pods after it.",
        "kubectl delete --raw /apis/apps/v1/namespaces/kube-system/daemonsets/node-exporter-x",
    ):
        assert said in text
    assert scene.has(DAEMON_SET)
    asked = as_rex.post(address(attack), {"digest": planned.digest, "reason": "Left by the intruder"})
    assert (asked.status_code, asked["Location"]) == (302, address(attack))
    assert woken[-1] == ("alerts.tasks.run_revocation", planned.pk, 0)
    tasks.run_revocation(planned.pk)
    assert not scene.has(DAEMON_SET)
    assert not scene.has(CRON_JOB)
    assert scene.has(ROLE)
    text = text_of(as_rex.get(address(attack)))
    assert "Gone, and verified on the cluster." in text
    assert "The cluster answers that it does not exist (404)." in text
    assert {item(attack, each).ticked_by for each in (DAEMON_SET, CRON_JOB)} == {rex}
    # Of the role itself nothing was done or said.
    assert revocation.finished(attack) is None
    assert "The last run" not in text_of(as_rex.get(address(attack, "revoke")))
    assert attack.steps.get(key="revoke").outcome == ""


def test_of_a_binding_it_says_who_loses_what_and_proves_it(as_rex: Client, attack: Alert, scene: Scene) -> None:
    health = ObjectReference("ClusterRoleBinding", "", "system-health")
    RemedyItem.objects.create(
        alert=attack, digest="health", kind="role", title=str(health), command="", made_by="x",
        object_kind=health.kind, name=health.name, made_at=None,
    )  # fmt: skip
    scene.admin.create(
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": health.kind, "metadata": {"name": health.name}}
        | {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}}
        | {"subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory@example.com"}]}
    )
    planned = choose(as_rex, attack, health)
    assert "user mallory@example.com loses everything it holds" in text_of(as_rex.get(address(attack)))
    as_rex.post(address(attack), {"digest": planned.digest, "reason": "x"})
    tasks.run_revocation(planned.pk)
    planned.refresh_from_db()
    assert (planned.state, [each["passed"] for each in planned.proof["holders"]]) == (State.DONE, [True])


def test_the_last_administrator_is_not_taken_away_unawares(as_rex: Client, attack: Alert, scene: Scene) -> None:
    ours = ObjectReference("ClusterRoleBinding", "", "only-admin")
    admins = [each for each in scene.admin.list_all("ClusterRoleBinding") if each["roleRef"]["name"] == "cluster-admin"]
    scene.admin.create(
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": ours.kind, "metadata": {"name": ours.name}}
        | {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}}
        | {"subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "boss"}]}
    )
    for each in admins:
        scene.remove(ObjectReference.of(each))
    RemedyItem.objects.create(
        alert=attack, digest="ours", kind="role", title=str(ours), command="", made_by="x",
        object_kind=ours.kind, name=ours.name,
    )  # fmt: skip
    choose(as_rex, attack, ours)
    text = text_of(as_rex.get(address(attack)))
    assert "It is the last binding that makes anybody cluster-admin." in text
    assert "Type only-admin to go on" in text


def test_what_was_done_is_recorded_with_its_names(as_rex: Client, attack: Alert) -> None:
    planned = choose(as_rex, attack, DAEMON_SET)
    as_rex.post(address(attack), {"digest": planned.digest, "reason": "Left by the intruder"})
    tasks.run_revocation(planned.pk)
    told = list(attack.activities.values_list("summary", flat=True))
    assert "asked to remove what was left behind: DaemonSet kube-system/node-exporter-x: Left by the intruder" in told
    assert "removed DaemonSet kube-system/node-exporter-x" in told


def test_a_second_person_is_asked_for_where_the_cluster_wants_one(
    as_rex: Client, attack: Alert, prod: Cluster, scene: Scene
) -> None:
    Cluster.objects.filter(pk=prod.pk).update(second_person_required=True)
    planned = choose(as_rex, attack, DAEMON_SET)
    as_rex.post(address(attack), {"digest": planned.digest, "reason": "x"})
    tasks.run_revocation(planned.pk)
    assert scene.has(DAEMON_SET)
    other = logged_in(make_user("roy", "Responder"))
    assert "Approve: Remove 1 DaemonSet" in text_of(other.get(address(attack)))
    approved = other.post(address(attack, "revoke_approve"), {"mode": "remove", "digest": planned.digest})
    assert approved["Location"] == address(attack)
    tasks.run_revocation(planned.pk)
    assert not scene.has(DAEMON_SET)


def test_it_can_be_called_off(as_rex: Client, attack: Alert, scene: Scene, settings: Any) -> None:
    settings.REVOKE_GRACE_SECONDS = 60
    planned = choose(as_rex, attack, DAEMON_SET)
    as_rex.post(address(attack), {"digest": planned.digest, "reason": "x"})
    assert "Call off" in text_of(as_rex.get(address(attack)))
    as_rex.post(address(attack, "revoke_call_off"), {"mode": "remove"})
    planned.refresh_from_db()
    assert planned.state == State.CALLED_OFF
    assert scene.has(DAEMON_SET)


def test_a_plan_that_is_not_the_one_seen_is_shown_again(as_rex: Client, attack: Alert, scene: Scene) -> None:
    choose(as_rex, attack, DAEMON_SET)
    answer = as_rex.post(address(attack), {"digest": "0" * 64, "reason": "Kept in the field"})
    assert answer.status_code == 409
    assert "nothing was done" in text_of(answer)
    assert 'value="Kept in the field"' in answer.content.decode()
    assert scene.has(DAEMON_SET)


def test_nothing_chosen_and_what_is_gone_already_are_said(as_rex: Client, attack: Alert, scene: Scene) -> None:
    as_rex.post(address(attack, "remove_plan"))
    assert "Choose at least one thing that is still there." in text_of(as_rex.get(address(attack)))
    scene.remove(DAEMON_SET)
    choose(as_rex, attack, DAEMON_SET)
    assert "It is gone already" in text_of(as_rex.get(address(attack)))


def test_an_object_of_another_time_asks_for_the_name(as_rex: Client, attack: Alert, scene: Scene) -> None:
    attack.remedy_items.update(made_at=timezone.now() - timedelta(hours=1))
    planned = choose(as_rex, attack, DAEMON_SET)
    text = text_of(as_rex.get(address(attack)))
    assert "is not the object of the audit event" in text
    assert "Type node-exporter-x to go on" in text
    refused = as_rex.post(address(attack), {"digest": planned.digest, "reason": "x"})
    assert (refused.status_code, scene.has(DAEMON_SET)) == (422, True)


def test_a_static_pod_and_our_own_account_stay(as_rex: Client, attack: Alert, scene: Scene) -> None:
    pod = {"name": "etcd", "namespace": "kube-system", "annotations": {"kubernetes.io/config.mirror": "x"}}
    spec = {"containers": [{"name": "main", "image": "x"}]}
    scene.admin.create({"apiVersion": "v1", "kind": "Pod", "metadata": pod, "spec": spec})
    for kind, namespace, name in (("Pod", "kube-system", "etcd"), ("ServiceAccount", "rolecall", "rolecall")):
        RemedyItem.objects.create(
            alert=attack, digest=name, kind="other", title=name, command="", made_by="x",
            object_kind=kind, namespace=namespace, name=name,
        )  # fmt: skip
        planned = choose(as_rex, attack, ObjectReference(kind, namespace, name))
        assert (planned.state, planned.rehearsal) == (State.REFUSED, [])
    assert "it is Rolecall’s own account" in text_of(as_rex.get(address(attack)))


def test_no_password_of_a_workload_is_kept(as_rex: Client, attack: Alert, scene: Scene) -> None:
    secret = "hunter2-0123456789"
    variable = {"name": "DB_PASSWORD", "value": secret}
    container = {"name": "main", "image": "x", "env": [variable], "args": [f"--token={secret}"]}
    where = {"name": "left", "namespace": "kube-system"}
    scene.admin.create({"apiVersion": "v1", "kind": "Pod", "metadata": where, "spec": {"containers": [container]}})
    RemedyItem.objects.create(
        alert=attack, digest="left", kind="workload", title="Pod", command="", made_by="x",
        object_kind="Pod", namespace="kube-system", name="left",
    )  # fmt: skip
    planned = choose(as_rex, attack, ObjectReference("Pod", "kube-system", "left"))
    assert planned.state == State.PLANNED
    assert secret not in json.dumps([planned.plan, planned.effects])
    assert secret not in as_rex.get(f"{address(attack, 'revoke')}/{planned.pk}/manifests").content.decode()


def test_an_analyst_may_plan_and_a_viewer_nothing(as_ana: Client, as_vic: Client, attack: Alert) -> None:
    planned = choose(as_ana, attack, DAEMON_SET)
    data = {"digest": planned.digest, "reason": "x"}
    assert as_ana.post(address(attack), data).status_code == 403
    assert as_vic.post(address(attack, "remove_plan")).status_code == 403
    assert as_vic.post(address(attack), data).status_code == 403
    assert as_vic.get(address(attack)).status_code == 200


def test_a_cluster_that_cannot_be_reached_is_said(as_rex: Client, attack: Alert, prod: Cluster) -> None:
    Cluster.objects.filter(pk=prod.pk).update(api_address="https://127.0.0.1:1")
    planned = choose(as_rex, attack, DAEMON_SET)
    assert planned.error
    assert planned.error in text_of(as_rex.get(address(attack)))
