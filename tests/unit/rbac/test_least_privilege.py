"""The least rules that would have done."""

import yaml

from alerts.rbac import Request, allows, least, least_manifests, least_yaml, parse
from tests.unit.rbac.writing import rules


def test_the_same_verbs_on_resources_of_a_group_are_one_rule() -> None:
    seen = [Request(verb, resource=resource) for verb in ("watch", "list") for resource in ("pods", "configmaps")]
    assert least(seen).manifest() == rules("list, watch on configmaps, pods")


def test_objects_are_named_where_kubernetes_can_limit_by_name() -> None:
    seen = [
        Request("get", resource="secrets", name="b"),
        Request("get", resource="secrets", name="a"),
        Request("create", resource="secrets", name="c"),
        Request("create", resource="pods", subresource="exec", name="p"),
    ]
    assert least(seen).manifest() == rules(
        "create on secrets", "get on secrets named a, b", "create on pods/exec named p"
    )
    assert least(seen, by_name=False).manifest() == rules("create on pods/exec", "get, create on secrets")


def test_a_list_of_everything_or_many_names_is_not_limited() -> None:
    listed = [Request("list", resource="pods"), Request("list", resource="pods", name="a")]
    many = [Request("get", resource="pods", name=str(number)) for number in range(21)]
    assert least(listed).manifest() == rules("list on pods")
    assert least(many).manifest() == rules("get on pods")


def test_urls_are_exact() -> None:
    assert least([Request("get", path="/metrics"), Request("get", path="/healthz")]).manifest() == rules(
        "get at /healthz, /metrics"
    )


def test_nothing_seen_needs_nothing() -> None:
    assert not least([])
    assert least_manifests([], "r") == []


def test_each_namespace_gets_its_own_role_as_yaml() -> None:
    seen = [
        Request("get", resource="pods", name="a", namespace="web"),
        Request("list", resource="nodes"),
        Request("get", path="/metrics"),
    ]
    cluster_role, role = yaml.safe_load_all(least_yaml(seen, "bot"))
    assert (cluster_role["kind"], role["kind"], role["metadata"]) == (
        "ClusterRole",
        "Role",
        {"name": "bot", "namespace": "web"},
    )
    assert allows(parse(role["rules"]), seen[0])
    assert allows(parse(cluster_role["rules"]), seen[1])
    assert allows(parse(cluster_role["rules"]), seen[2])
    assert not allows(parse(role["rules"]), Request("get", resource="pods", name="b", namespace="web"))
