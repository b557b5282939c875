from typing import Any

import pytest

from tests.unit.audit.events import reading
from tests.unit.detections.examples import EVERYTHING, PODS, findings, found, manifest, reference, user

ROOT = manifest("ClusterRoleBinding", "root", roleRef=reference("all"), subjects=[user("root"), user("mallory")])
ALL = manifest(name="all", rules=EVERYTHING)
WATCHER = manifest("ClusterRoleBinding", "watch", roleRef=reference("pods"), subjects=[user("watcher")])
READ_PODS = manifest(name="pods", rules=PODS)
KNOWN = (ROOT, ALL, WATCHER, READ_PODS)


def acting_as(name: str, *groups: str, **changes: Any) -> dict[str, Any]:
    return reading() | {"impersonatedUser": {"username": name, "groups": list(groups)}} | changes


@pytest.mark.parametrize(
    ("name", "groups", "who"),
    [
        ("nobody", ["system:masters"], "system:masters"),
        ("root", [], "root"),
        ("system:kube-controller-manager", [], "system:kube-controller-manager"),
        ("system:serviceaccount:kube-system:bot", [], "system:serviceaccount:kube-system:bot"),
    ],
)
def test_acting_as_somebody_powerful_is_found_whatever_it_was_for(name: str, groups: list[str], who: str) -> None:
    assert found(acting_as(name, *groups), *KNOWN) == ("powerful_impersonation", f"Impersonation of {who}")


@pytest.mark.parametrize("name", ["watcher", "unheard-of", "system:serviceaccount:web:bot"])
def test_acting_as_somebody_harmless_is_nothing(name: str) -> None:
    assert not findings(acting_as(name, "system:authenticated"), *KNOWN)


def test_a_group_that_is_bound_makes_powerful() -> None:
    group = {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "ops"}
    bound = manifest("ClusterRoleBinding", "ops", roleRef=reference("all"), subjects=[group])
    assert findings(acting_as("watcher", "ops"), bound, ALL)


def test_acting_as_oneself_and_not_impersonating_is_nothing() -> None:
    assert not findings(acting_as("mallory@example.com", "system:authenticated"), *KNOWN)
    assert not findings(reading(), *KNOWN)
    assert not findings(acting_as("root", stage="RequestReceived"), *KNOWN)


def test_raising_oneself_by_a_group_is_found() -> None:
    assert found(acting_as("mallory@example.com", "system:masters"), *KNOWN)[1] == "Impersonation of system:masters"


def refused(message: str, **changes: Any) -> dict[str, Any]:
    return reading() | {"responseStatus": {"code": 403, "message": message}, "annotations": {}} | changes


@pytest.mark.parametrize(
    ("what", "name", "who"),
    [
        ("users", "root", "root"),
        ("groups", "system:masters", "group system:masters"),
        ("users", r"ro\"ot", ""),
        ("users", "watcher", ""),
    ],
)
def test_an_attempt_to_act_as_somebody_powerful_is_found(what: str, name: str, who: str) -> None:
    message = (
        f'{what} "{name}" is forbidden: User "eve" cannot impersonate resource "{what}" in API group "" at the cluster'
    )
    titles = [each.title for each in findings(refused(message), *KNOWN)]
    assert titles == ([f"Attempt to impersonate {who}"] if who else [])


@pytest.mark.parametrize("what", ["pods is ", 'pods "a" is ', 'clusterroles.rbac.authorization.k8s.io "a" is ', ""])
def test_an_attempt_that_does_not_say_as_whom_is_found_all_the_same(what: str) -> None:
    message = f'{what}forbidden: User "eve" cannot impersonate-on:user-info:list resource "pods" in API group ""'
    (finding,) = findings(refused(message), *KNOWN)
    assert finding.attempted
    assert finding.title == "Attempt to impersonate somebody whom the log does not name"
    assert not findings(refused(message.replace("impersonate-on:user-info:list", "list")), *KNOWN)


def test_words_that_an_attacker_chose_make_no_attempt() -> None:
    quoted = 'pods "users \\"root\\" is forbidden: User \\"a\\" cannot impersonate resource " is forbidden'
    assert not findings(refused(quoted), *KNOWN)
    assert not findings(refused('users "root" is forbidden: User "eve" cannot get resource "users"'), *KNOWN)


def test_impersonations_of_one_actor_and_day_are_one() -> None:
    first, again = acting_as("root"), acting_as("root", auditID="other", verb="list")
    later = acting_as("root", requestReceivedTimestamp="2026-11-25T18:00:00.000000Z")
    causes = [findings(each, *KNOWN)[0].fingerprint for each in (first, again, later)]
    assert causes[0] == causes[1] != causes[2]


@pytest.mark.parametrize(
    "changes",
    [
        {"verb": "watch", "responseStatus": {"code": 200}},
        {"verb": "create", "responseStatus": {"code": 101}, "objectRef": {"resource": "pods", "subresource": "exec"}},
    ],
    ids=["a watch", "a shell"],
)
def test_what_lasts_is_found_when_it_begins_and_is_the_same_when_it_ends(changes: dict[str, Any]) -> None:
    begun, over = (acting_as("root", stage=stage, **changes) for stage in ("ResponseStarted", "ResponseComplete"))
    assert found(begun, *KNOWN)[1] == "Impersonation of root"
    assert findings(begun, *KNOWN)[0].fingerprint == findings(over, *KNOWN)[0].fingerprint


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("system:node:worker-1", ["system:nodes", "system:authenticated"]),
        ("kubernetes-admin", ["kubeadm:cluster-admins", "system:authenticated"]),
        ("kubernetes-admin", []),
        ("anybody", ["kubeadm:cluster-admins"]),
        ("anybody", ["system:cluster-admins"]),
    ],
)
def test_who_is_powerful_on_every_cluster_is_so_where_none_was_ever_listed(name: str, groups: list[str]) -> None:
    assert findings(acting_as(name, *groups))


@pytest.mark.parametrize(
    ("what", "name"),
    [("users", "system:node:worker-1"), ("groups", "system:nodes"), ("groups", "kubeadm:cluster-admins")],
)
def test_an_attempt_to_be_one_of_those_is_found_by_the_half_that_is_named(what: str, name: str) -> None:
    message = f'{what} "{name}" is forbidden: User "eve" cannot impersonate resource "{what}" in API group ""'
    assert findings(refused(message))[0].attempted
