"""Who holds powers over permissions, by which binding."""

from typing import Any

import pytest

from alerts import rbac
from alerts.services.posture import powers
from tests.integration.posture.objects import RBAC, access, bound, role, rule

REF = rbac.RoleRef("ClusterRole", "new")
RULES = rbac.parse([rule("", "secrets", "get", "list")])
CREATE = rule(RBAC, "clusterroles", "create")


def lines(*manifests: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return what is found on the cluster: kind, subject and detail."""
    return [(each.kind.value, each.title, each.detail) for each in powers.look(access(*manifests)).found]


def about(*manifests: dict[str, Any], maker: str = "", ref: rbac.RoleRef = REF) -> dict[str, list[str]]:
    """Return what is found about the new role: by kind the lines."""
    found: dict[str, list[str]] = {}
    for each in powers.look_at_role(access(*manifests), ref, RULES, maker).found:
        found.setdefault(each.kind.value, []).append(f"{each.level}: {each.title}, {each.detail}")
    return found


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        (CREATE, "create", "create clusterroles"),
        (rule(RBAC, "clusterrolebindings", "create"), "create", "create clusterrolebindings"),
        (rule(RBAC, "*", "escalate"), "escalate", "escalate roles, escalate clusterroles"),
        (rule("*", "clusterroles", "bind"), "bind", "bind clusterroles"),
        (rule("", "users", "impersonate"), "impersonate", "impersonate users"),
        (
            rule(RBAC, "clusterroles", "bind", resourceNames=["cluster-admin"]),
            "bind",
            "bind clusterroles named cluster-admin",
        ),
        (rule("", "groups", "impersonate", resourceNames=["b", "a"]), "impersonate", "impersonate groups named a, b"),
        (rule("authentication.k8s.io", "userextras", "impersonate"), "impersonate", "impersonate userextras"),
    ],
)
def test_a_power_is_found_with_the_binding_that_gives_it(given: dict[str, Any], kind: str, words: str) -> None:
    assert lines(role("strong", given), bound("strong", "User", "eve")) == [
        (kind, "user eve", f"{words}, by ClusterRoleBinding strong-to-eve of ClusterRole strong")
    ]


@pytest.mark.parametrize(
    "given",
    [
        rule(RBAC, "clusterroles", "create", resourceNames=["mine"]),
        rule(RBAC, "clusterroles", "get", "update", "patch"),
        rule(RBAC, "clusterrolebindings", "bind"),
        rule("rbac", "clusterroles", "escalate"),
        rule("", "user", "impersonate"),
    ],
    ids=["a name is in no creation", "no power", "bind is on roles", "no such group", "no such resource"],
)
def test_what_is_no_power_is_not_found(given: dict[str, Any]) -> None:
    assert lines(role("weak", given), bound("weak", "User", "eve")) == []


def test_in_a_namespace_only_what_counts_there_is_found() -> None:
    everything = role("all", rule("*", "*", "*"))
    found = powers.look(access(everything, bound("all", "User", "eve", namespace="web"))).found
    assert {(each.kind.value, each.level, each.detail.partition(",")[0]) for each in found} == {
        ("escalate", "medium", "escalate roles in web"),
        ("bind", "medium", "bind clusterroles"),
        ("impersonate", "medium", "impersonate serviceaccounts in web"),
    }


def test_masters_and_kubernetes_own_controllers_are_no_findings_but_others_with_their_role_are() -> None:
    name = "system:controller:clusterrole-aggregation-controller"
    own = bound(name, "ServiceAccount", "clusterrole-aggregation-controller", namespace="")
    own["metadata"]["name"] = name
    own["subjects"][0]["namespace"] = "kube-system"
    shipped = role(name, rule(RBAC, "clusterroles", "escalate", "get", "patch"))
    masters = bound("all", "Group", "system:masters")
    assert lines(shipped, own, role("all", rule("*", "*", "*")), masters) == []
    assert [line[:2] for line in lines(shipped, own, bound(name, "User", "eve"))] == [("escalate", "user eve")]
    # A power that Kubernetes does not ship is news even there.
    tampered = role(name, rule("", "users", "impersonate"))
    assert [line[0] for line in lines(tampered, own)] == ["impersonate"]


def test_grants_to_everybody_are_found_and_kubernetes_own_are_not() -> None:
    assert lines(
        role("open", rule("", "pods", "get")),
        role("system:discovery", {"nonResourceURLs": ["/api"], "verbs": ["get"]}),
        bound("open", "Group", "system:unauthenticated"),
        bound("open", "Group", "system:authenticated", namespace="web"),
        bound("system:discovery", "Group", "system:authenticated"),
    ) == [
        (
            "public",
            "group system:unauthenticated",
            "ClusterRole open in the whole cluster, by ClusterRoleBinding open-to-system:unauthenticated",
        ),
        (
            "everybody",
            "group system:authenticated",
            "ClusterRole open in web, by RoleBinding web/open-to-system:authenticated",
        ),
    ]


@pytest.mark.parametrize(
    "second",
    [rule(RBAC, "clusterroles", "escalate"), rule("", "secrets", "get", "list", "watch")],
    ids=["escalate", "holds it"],
)
def test_who_may_create_roles_and_pass_the_escalation_check_could_have_made_it(second: dict[str, Any]) -> None:
    powerful = role("maker", CREATE, second)
    line = "user eve, by ClusterRoleBinding maker-to-eve"
    assert about(powerful, bound("maker", "User", "eve"))["makers"] == [f"high: {line}"]
    own = about(powerful, bound("maker", "User", "eve"), maker="eve")["makers"]
    assert own == ["medium: user eve, its maker, by ClusterRoleBinding maker-to-eve"]


@pytest.mark.parametrize(
    "given",
    [(CREATE,), (CREATE, rule(RBAC, "clusterroles", "escalate", resourceNames=["new"]))],
    ids=["creates only", "escalates a named one, and a creation has no name"],
)
def test_who_does_not_pass_the_check_could_not_have_made_it(given: tuple[dict[str, Any], ...]) -> None:
    assert "makers" not in about(role("maker", *given), bound("maker", "User", "eve"))


def test_a_role_binding_lets_nobody_make_cluster_roles() -> None:
    powerful = role("maker", CREATE, rule(RBAC, "clusterroles", "escalate"))
    assert "makers" not in about(powerful, bound("maker", "User", "eve", namespace="web"))


def test_who_may_bind_it_by_its_name_is_found() -> None:
    named = rule(RBAC, "clusterroles", "bind", resourceNames=["new"])
    binder = role("binder", rule(RBAC, "clusterrolebindings", "create"), named)
    findings = about(binder, bound("binder", "User", "eve"))
    assert findings["binders"] == ["high: user eve, by ClusterRoleBinding binder-to-eve"]


def test_who_holds_as_much_or_more_is_found_and_who_has_it_by_the_role_itself_is_not() -> None:
    findings = about(
        role("more", rule("", "*", "*")),
        role("less", rule("", "secrets", "get")),
        role("new", rule("", "secrets", "get", "list")),
        bound("more", "User", "eve"),
        bound("less", "User", "bob"),
        bound("new", "User", "mallory"),
    )
    assert findings["equals"] == ["medium: user eve, by ClusterRoleBinding more-to-eve of ClusterRole more"]
