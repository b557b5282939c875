"""Who may do what, where."""

from typing import Any

import pytest

from alerts.rbac import Access, InvalidRules, Request, Role, Selector, Subject
from tests.unit.rbac.clusters import aggregated, binding, cluster, ref, role

ANA = Subject("User", "ana")
BOT = Subject("ServiceAccount", "bot", "web")
SECRETS = Request("list", resource="secrets", namespace="web")


def test_a_cluster_role_binding_counts_everywhere() -> None:
    access = cluster(role("r", "list on secrets"), binding("b", "r", "user ana"))
    assert access.effective(ANA, "web").allowing(SECRETS) is not None
    assert access.effective(ANA).allowing(Request("list", resource="secrets")) is not None


def test_a_role_binding_counts_in_its_namespace_only() -> None:
    access = cluster(role("r", "list on secrets", "get at /metrics"), binding("b", "r", "user ana", namespace="web"))
    assert [answer.subject for answer in access.who_can(SECRETS)] == [ANA]
    assert access.who_can(Request("list", resource="secrets", namespace="other")) == ()
    assert access.who_can(Request("list", resource="secrets")) == ()
    assert access.who_can(Request("get", path="/metrics")) == ()
    assert [answer.scope for answer in access.who_can(Request("list", resource="secrets"), anywhere=True)] == ["web"]


def test_a_role_is_found_in_the_namespace_of_its_binding() -> None:
    access = cluster(
        role("r", "list on secrets", namespace="web"),
        role("r", "get on pods", namespace="other"),
        binding("b", "r", "user ana", namespace="web", role_kind="Role"),
    )
    assert [holder.subject for holder in access.holders(ref("r", "web"))] == [ANA]
    assert access.holders(ref("r", "other")) == ()


def test_a_service_account_without_a_namespace_is_one_of_the_bindings_own() -> None:
    access = cluster(role("r", "list on secrets"), binding("b", "r", "account bot", namespace="web"))
    assert access.subjects == (BOT,)
    assert cluster(role("r", "list on secrets"), binding("b", "r", "account bot")).subjects == ()


def test_a_user_of_a_service_accounts_name_is_that_service_account() -> None:
    access = cluster(role("r", "list on secrets"), binding("b", "r", "user system:serviceaccount:web:bot"))
    assert access.subjects == (BOT,)
    assert BOT.username == "system:serviceaccount:web:bot"
    assert Subject.of_user("system:serviceaccount:web") == Subject("User", "system:serviceaccount:web")


@pytest.mark.parametrize(
    ("group", "reached"),
    [
        ("system:authenticated", {"ana", "bot", "node"}),
        ("system:serviceaccounts", {"bot"}),
        ("system:serviceaccounts:web", {"bot"}),
        ("system:serviceaccounts:other", set()),
        ("system:unauthenticated", {"nobody"}),
        ("system:nodes", {"node"}),
        ("devs", set()),
    ],
)
def test_everybody_is_in_the_groups_kubernetes_puts_them_in(group: str, reached: set[str]) -> None:
    access = cluster(role("r", "list on secrets"), binding("b", "r", f"group {group}"))
    people = {
        "ana": ANA,
        "bot": BOT,
        "nobody": Subject("User", "system:anonymous"),
        "node": Subject("User", "system:node:n1"),
    }
    assert {name for name, subject in people.items() if access.effective(subject).rules} == reached


def test_groups_seen_elsewhere_count_when_they_are_given() -> None:
    access = cluster(role("r", "list on secrets"), binding("b", "r", "group devs"))
    assert access.effective(ANA, groups=["devs"]).allowing(Request("list", resource="secrets")) is not None
    assert not access.effective(ANA).rules


def test_group_names_are_compared_whole() -> None:
    access = cluster(role("r", "list on secrets"), binding("b", "r", "group *", "user *"))
    assert not access.effective(ANA, groups=["devs"]).rules


def test_what_somebody_holds_says_where_each_rule_comes_from() -> None:
    access = cluster(role("r", "get on pods", "list on secrets"), binding("b", "r", "user ana", namespace="web"))
    source = access.effective(ANA, "web").allowing(SECRETS)
    assert source is not None
    assert (source.role, source.index, str(source.binding)) == (ref("r"), 1, "RoleBinding web/b")


def test_what_can_somebody_do_is_told_by_scope() -> None:
    access = cluster(
        role("everywhere", "get on nodes"),
        role("here", "list on secrets"),
        binding("b1", "everywhere", "user ana"),
        binding("b2", "here", "user ana", namespace="web"),
    )
    can = access.what_can(ANA)
    assert {scope: len(effective.rules) for scope, effective in can.items()} == {"": 1, "web": 2}
    assert can["web"].allowing(Request("get", resource="nodes")) is not None


def test_a_binding_to_a_missing_role_gives_nothing_and_is_known() -> None:
    access = cluster(binding("b", "missing", "user ana"))
    assert [each.name for each in access.bindings_of(ref("missing"))] == ["b"]
    assert not access.effective(ANA).rules
    assert [holder.subject for holder in access.holders(ref("missing"))] == [ANA]


def test_a_binding_may_have_no_subjects_or_strange_ones() -> None:
    empty = binding("b", "r") | {"subjects": None}
    strange = binding("c", "r") | {"subjects": [{"kind": "Robot", "name": "x"}, {"kind": "User"}, "ana", {}]}
    assert cluster(role("r", "get on pods"), empty, strange).subjects == ()


def test_other_kinds_are_passed_over_and_broken_ones_refused() -> None:
    assert cluster({"kind": "Pod", "metadata": {"name": "p"}}).roles == {}
    with pytest.raises(InvalidRules, match="roleRef must be a mapping"):
        cluster({"kind": "RoleBinding", "metadata": {"name": "b"}})
    with pytest.raises(InvalidRules, match=r"metadata\.labels must map strings to strings"):
        cluster({"kind": "ClusterRole", "metadata": {"name": "r", "labels": {"a": 1}}})
    with pytest.raises(InvalidRules, match="metadata must be a mapping"):
        cluster({"kind": "Role", "metadata": "x"})


def test_broken_bindings_and_names_are_refused() -> None:
    with pytest.raises(InvalidRules, match="subjects must be a list"):
        cluster(binding("b", "r") | {"subjects": {"kind": "User"}})
    with pytest.raises(InvalidRules, match="name must be a string"):
        cluster({"kind": "ClusterRole", "metadata": {"name": 3}})
    assert list(cluster({"kind": "ClusterRole"}).roles) == [ref("")]


def test_subjects_read_as_people_write_them() -> None:
    assert [str(one) for one in (ANA, BOT, Subject("Group", "devs"))] == [
        "user ana",
        "service account web/bot",
        "group devs",
    ]
    assert (Subject("Group", "devs").username, Subject("User", "system:anonymous").public) == ("", True)


def test_a_group_of_service_accounts_is_in_the_wider_ones() -> None:
    access = cluster(role("r", "list on secrets"), binding("b", "r", "group system:serviceaccounts"))
    assert access.effective(Subject("Group", "system:serviceaccounts:web")).rules
    assert not access.effective(Subject("Group", "system:unauthenticated")).rules


def test_selectors_may_have_expressions() -> None:
    def parent(**expression: Any) -> dict[str, Any]:
        return role("all", aggregationRule={"clusterRoleSelectors": [{"matchExpressions": [expression]}]})

    child = role("child", "get on pods", labels={"tier": "web"})
    taken = {
        str(expression): bool(cluster(parent(**expression), child).rules(ref("all")))
        for expression in (
            {"key": "tier", "operator": "In", "values": ["web", "db"]},
            {"key": "tier", "operator": "NotIn", "values": ["web"]},
            {"key": "other", "operator": "NotIn", "values": ["web"]},
            {"key": "tier", "operator": "Exists"},
            {"key": "tier", "operator": "DoesNotExist"},
            {"key": "tier", "operator": "Like", "values": ["web"]},
        )
    }
    assert list(taken.values()) == [True, False, True, True, False, False]


def test_nothing_is_changed_by_asking_what_would_be() -> None:
    access = cluster(role("r", "list on secrets"), binding("b", "r", "user ana"))
    without = access.without(ref("r"))
    assert not without.effective(ANA).rules
    assert access.effective(ANA).rules
    assert not access.without(access.bindings[0]).subjects
    back = without.with_(access.roles[ref("r")])
    assert back.effective(ANA).rules == access.effective(ANA).rules


def test_a_later_version_takes_the_place_of_an_earlier() -> None:
    access = cluster(role("r", "list on secrets"), role("r", "get on pods"), binding("b", "r", "user ana"))
    assert access.rules(ref("r")).manifest() == role("r", "get on pods")["rules"]


FEED_VIEW = "feed-view"
FEED_EDIT = "feed-edit"


def chain() -> Access:
    return cluster(
        role("child", "list on secrets", labels={FEED_VIEW: "true"}),
        aggregated("view", FEED_VIEW, labels={FEED_EDIT: "true"}),
        aggregated("edit", FEED_EDIT),
        binding("b", "edit", "user ana", namespace="web"),
    )


def test_aggregated_roles_take_rules_transitively() -> None:
    access = chain()
    assert access.rules(ref("edit")) == access.rules(ref("child"))
    assert access.aggregates(ref("child")) == {ref("view"): (ref("view"),), ref("edit"): (ref("view"), ref("edit"))}
    (holder,) = access.holders(ref("child"))
    assert (holder.subject, holder.scope, holder.through) == (ANA, "web", (ref("view"), ref("edit")))
    source = access.effective(ANA, "web").allowing(SECRETS)
    assert source is not None
    assert (source.role, source.index) == (ref("child"), 0)


def test_the_roles_that_labels_would_feed_are_told_for_other_labels_too() -> None:
    access = chain()
    assert access.aggregates(ref("child"), {}) == {}
    assert list(access.aggregates(ref("child"), {FEED_EDIT: "true"})) == [ref("edit")]


def test_without_a_child_its_parents_lose_what_they_still_show() -> None:
    filled = cluster(
        role("child", "list on secrets", labels={FEED_VIEW: "true"}),
        role("other", "get on pods", labels={FEED_VIEW: "true"}),
        aggregated("view", FEED_VIEW) | {"rules": [*role("", "list on secrets", "get on pods")["rules"]]},
    )
    assert len(filled.rules(ref("view"))) == 2
    assert filled.without(ref("child")).rules(ref("view")).manifest() == role("", "get on pods")["rules"]


def test_a_child_whose_label_is_taken_away_feeds_no_longer() -> None:
    filled = chain().with_(chain().roles[ref("child")])
    unlabelled = cluster(role("child", "list on secrets")).roles[ref("child")]
    assert not filled.with_(unlabelled).rules(ref("edit"))


def test_rules_an_aggregated_role_holds_by_hand_are_in_force_until_the_controller_has_run() -> None:
    access = cluster(aggregated("view", FEED_VIEW) | {"rules": role("", "get on pods")["rules"]})
    assert access.rules(ref("view")).manifest() == role("", "get on pods")["rules"]


def test_circles_of_aggregation_end() -> None:
    access = cluster(
        aggregated("one", "a", labels={"b": "true"}),
        aggregated("two", "b", labels={"a": "true"}),
        role("child", "get on pods", labels={"a": "true"}),
    )
    assert access.rules(ref("one")) == access.rules(ref("two")) == access.rules(ref("child"))
    assert set(access.aggregates(ref("child"))) == {ref("one"), ref("two")}


def test_a_selector_without_conditions_takes_every_other_role() -> None:
    everything = role("all", aggregationRule={"clusterRoleSelectors": [{}]})
    access = cluster(everything, role("child", "get on pods"), role("not", "list on secrets", namespace="web"))
    assert access.rules(ref("all")) == access.rules(ref("child"))


def test_namespaces_with_powerful_accounts_are_known() -> None:
    access = cluster(
        role("strong", "list on secrets"),
        role("weak", "get on pods"),
        binding("b", "strong", "account vault/bot"),
        binding("c", "weak", "account web/bot"),
    )
    assert access.privileged_namespaces == {"kube-system", "vault"}


@pytest.mark.parametrize(
    "rule",
    [
        {"clusterRoleSelectors": "x"},
        {"clusterRoleSelectors": ["x"]},
        {"clusterRoleSelectors": [{"matchLabels": "x"}]},
        {"clusterRoleSelectors": [{"matchLabels": {"a": 1}}]},
        {"clusterRoleSelectors": [{"matchExpressions": {"key": "a"}}]},
        {"clusterRoleSelectors": [{"matchExpressions": [{"key": [], "operator": "In"}]}]},
        {"clusterRoleSelectors": [{"matchExpressions": [{"operator": "In"}]}]},
    ],
)
def test_an_aggregation_that_no_api_server_would_accept_is_said_to_be_one(rule: dict[str, object]) -> None:
    with pytest.raises(InvalidRules):
        Role.of_manifest({"kind": "ClusterRole", "metadata": {"name": "r"}, "aggregationRule": rule})


def test_values_may_be_left_out_of_an_expression() -> None:
    selector = Selector.of_manifest({"matchExpressions": [{"key": "a", "operator": "Exists", "values": None}]})
    assert selector.matches({"a": ""})
    assert not selector.matches({})
