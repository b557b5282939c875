"""What was left behind: listed, asked for, ticked off."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from alerts.models import Alert, Cluster, RemedyItem
from alerts.services import remedies
from tests.recorded import ATTACK, as_list, events, gathered, take_in

HTMX = {"HX-Request": "true"}
DAEMON_SET = "DaemonSet kube-system/node-exporter-x"


@pytest.fixture
def attack(cluster: Cluster) -> Alert:
    alert, *_ = take_in(cluster, as_list(events(ATTACK)))
    return gathered(alert)


def item(alert: Alert, title: str = DAEMON_SET) -> RemedyItem:
    return alert.remedy_items.get(title=title)


def found(title: str, state: str, **changes: Any) -> dict[str, Any]:
    """Return an item as an investigation finds it."""
    return {
        "kind": "workload",
        "title": title,
        "state": state,
        "note": "",
        "object": [],
        "command": "kubectl delete …",
        "by": "mallory",
        "at": "",
        "besides": False,
    } | changes


def after(cluster: Cluster, **changes: Any) -> dict[str, str]:
    """Return titles and commands after the recorded attack in which the DaemonSet's event is another."""
    recorded = events(ATTACK)
    (made,) = [event for event in recorded if event.get("objectRef", {}).get("name") == "node-exporter-x"]
    made |= changes
    alert, *_ = take_in(cluster, as_list(recorded))
    return {each.title: each.command for each in gathered(alert).remedy_items.all()}


def test_the_investigation_keeps_each_thing_once(attack: Alert) -> None:
    daemon_set = item(attack)
    assert (daemon_set.kind, daemon_set.state, daemon_set.object_kind) == ("workload", "unknown", "DaemonSet")
    assert (daemon_set.namespace, daemon_set.name) == ("kube-system", "node-exporter-x")
    assert daemon_set.command == "kubectl delete daemonsets.apps --namespace=kube-system -- node-exporter-x"
    count = attack.remedy_items.count()
    assert gathered(attack).remedy_items.count() == count


def test_what_existed_before_is_put_back_and_not_deleted(cluster: Cluster) -> None:
    commands = after(cluster, verb="patch", responseStatus={"code": 200})
    assert commands[f"{DAEMON_SET}, changed"] == (
        "kubectl rollout undo daemonsets.apps --namespace=kube-system -- node-exporter-x"
    )
    assert DAEMON_SET not in commands
    assert not RemedyItem.objects.get(title=f"{DAEMON_SET}, changed").object_kind


def test_a_server_side_apply_that_creates_is_a_creation(cluster: Cluster) -> None:
    assert DAEMON_SET in after(cluster, verb="patch", responseStatus={"code": 201})


@pytest.mark.parametrize(
    ("reference", "title", "command"),
    [
        (
            {"resource": "services", "namespace": "web", "name": "door", "apiVersion": "v1"},
            "services web/door",
            "kubectl delete services --namespace=web -- door",
        ),
        (
            {"resource": "apiservices", "name": "v1.evil", "apiGroup": "apiregistration.k8s.io", "apiVersion": "v1"},
            "apiservices.apiregistration.k8s.io v1.evil",
            "kubectl delete apiservices.apiregistration.k8s.io -- v1.evil",
        ),
        (
            {"resource": "pods", "subresource": "ephemeralcontainers", "namespace": "web", "name": "p"},
            "Pod web/p, changed",
            "kubectl delete pods --namespace=web -- p",
        ),
        (
            {"resource": "configmaps", "namespace": "web", "name": "--all;$(id)"},
            "ConfigMap web/--all;$(id)",
            "kubectl delete configmaps --namespace=web -- '--all;$(id)'",
        ),
    ],
    ids=["another kind", "a diverted API", "a container in a pod", "a name that is none"],
)
def test_whatever_the_role_permitted_to_write_is_listed(
    cluster: Cluster, reference: dict[str, str], title: str, command: str
) -> None:
    verb = "patch" if "subresource" in reference else "create"
    code = 200 if verb == "patch" else 201
    assert after(cluster, objectRef=reference, verb=verb, responseStatus={"code": code})[title] == command


@pytest.mark.parametrize(
    "changes",
    [
        {"objectRef": {"resource": "events", "namespace": "web", "name": "x"}},
        {"objectRef": {"resource": "services", "namespace": "web", "name": "x"}, "verb": "get"},
        {"objectRef": {"resource": "services", "namespace": "web", "name": "x"}, "responseStatus": {"code": 409}},
        {"objectRef": {"resource": "services", "namespace": "web", "name": "x"}, "annotations": {}},
    ],
    ids=["passing", "read", "failed", "not by the role"],
)
def test_what_leaves_nothing_of_the_role_behind_is_not_listed(cluster: Cluster, changes: dict[str, Any]) -> None:
    assert not any("web/x" in title for title in after(cluster, **changes))


def test_a_tick_has_a_name_and_a_time_and_is_undone(attack: Alert, ana: User, ben: User) -> None:
    remedies.tick(item(attack), by=ana)
    remedies.tick(item(attack), by=ben)
    assert item(attack).ticked_by == ana
    assert item(attack).ticked_at is not None
    assert attack.activities.filter(kind="remedied", summary=f"dealt with {DAEMON_SET}", by=ana).count() == 1
    remedies.untick(item(attack), by=ben)
    remedies.untick(item(attack), by=ben)
    assert item(attack).ticked_by is None
    assert attack.activities.filter(summary=f"has not dealt with {DAEMON_SET} after all", by=ben).count() == 1


def test_a_later_investigation_keeps_ticks_and_what_it_no_longer_finds(attack: Alert, ana: User) -> None:
    remedies.tick(item(attack), by=ana)
    count = attack.remedy_items.count()
    remedies.record(attack, [found(DAEMON_SET, "gone")])
    assert attack.remedy_items.count() == count
    assert (item(attack).state, item(attack).ticked_by) == ("gone", ana)


def test_what_the_cluster_said_stands_where_it_cannot_be_asked(attack: Alert) -> None:
    remedies.record(attack, [found(DAEMON_SET, "there")])
    asked = item(attack).asked_at
    remedies.record(attack, [found(DAEMON_SET, "unknown")])
    assert (item(attack).state, item(attack).asked_at) == ("there", asked)


def test_what_is_there_again_loses_its_tick(attack: Alert, ana: User) -> None:
    remedies.record(attack, [found(DAEMON_SET, "gone")])
    remedies.tick(item(attack), by=ana)
    remedies.record(attack, [found(DAEMON_SET, "there")])
    assert (item(attack).state, item(attack).ticked_by) == ("there", None)
    assert attack.activities.filter(summary=f"{DAEMON_SET} is there again", by=None).exists()


def test_items_are_ticked_on_the_page_and_a_viewer_ticks_nothing(as_ana: Client, as_vic: Client, attack: Alert) -> None:
    address = f"/remedies/{item(attack).pk}/tick"
    assert as_vic.post(address, {"action": "tick"}).status_code == 403
    response = as_ana.post(address, {"action": "tick"})
    assert (response.status_code, response["Location"]) == (302, f"/alerts/{attack.pk}?#step-remedy")
    page = as_ana.get(attack.get_absolute_url()).content.decode()
    assert f'aria-label="Not dealt with: {DAEMON_SET}"' in page
    undone = as_ana.post(address, {"action": "untick"}, headers=HTMX).content.decode()
    assert "<html" not in undone
    assert f'aria-label="Dealt with: {DAEMON_SET}"' in undone
    assert as_ana.post("/remedies/999999/tick").status_code == 404


def test_hostile_names_are_quoted_and_shown(as_ana: Client, cluster: Cluster) -> None:
    evil = "x'; rm -rf / #<img src=x>\u202e"
    recorded = json.loads(json.dumps(events(ATTACK)).replace("node-exporter-x", json.dumps(evil)[1:-1]))
    alert, *_ = take_in(cluster, as_list(recorded))
    (kept,) = gathered(alert).remedy_items.filter(kind="workload", title__contains="rm -rf", title__startswith="Daemon")
    assert kept.command.startswith("kubectl delete daemonsets.apps --namespace=kube-system -- $'x\\x27\\x3b rm -rf / ")
    page = as_ana.get(alert.get_absolute_url()).content.decode()
    assert "<img" not in page
    assert "\u202e" not in page
