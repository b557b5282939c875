"""Whether rules allow a request: the traps of Kubernetes' evaluation, one by one."""

from typing import Any

import pytest

from alerts.rbac import InvalidRules, Request, RuleSet, allows, parse


def rule(**fields: Any) -> list[dict[str, Any]]:
    return [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]} | fields]


def test_a_rule_allows_what_it_names() -> None:
    assert allows(rule(), Request("get", resource="pods", name="a", namespace="web"))


@pytest.mark.parametrize(
    "request_",
    [
        Request("list", resource="pods"),
        Request("get", resource="secrets"),
        Request("get", "apps", "pods"),
        Request("get", resource="pods", subresource="log"),
        Request("GET", resource="pods"),
        Request("get", path="/pods"),
    ],
)
def test_it_allows_nothing_else(request_: Request) -> None:
    assert not allows(rule(), request_)


def test_verbs_are_compared_case_by_case() -> None:
    assert not allows(rule(verbs=["GET"]), Request("get", resource="pods"))


def test_a_star_for_verbs_holds_verbs_that_do_not_exist_yet() -> None:
    assert allows(rule(verbs=["*"]), Request("escalate", resource="pods"))
    assert allows(rule(verbs=["*"]), Request("impersonate:user-info", resource="pods"))


def test_the_core_group_is_the_empty_string_and_nothing_else() -> None:
    assert not allows(rule(apiGroups=["core"]), Request("get", resource="pods"))
    assert not allows(rule(apiGroups=["v1"]), Request("get", resource="pods"))


def test_a_star_for_resources_holds_subresources() -> None:
    assert allows(rule(resources=["*"]), Request("get", resource="nodes", subresource="proxy"))


def test_a_star_before_the_slash_holds_the_whole_subresource_only() -> None:
    scale = rule(resources=["*/scale"])
    assert allows(scale, Request("get", resource="deployments", subresource="scale"))
    assert not allows(scale, Request("get", resource="deployments"))
    assert not allows(scale, Request("get", resource="deployments", subresource="autoscale"))
    deep = rule(resources=["*/bar/baz"])
    assert allows(deep, Request("get", resource="foo", subresource="bar/baz"))
    assert not allows(deep, Request("get", resource="foo", subresource="baz"))


@pytest.mark.parametrize("written", ["pods/*", "*/*"])
def test_a_star_after_the_slash_is_literal(written: str) -> None:
    assert not allows(rule(resources=[written]), Request("get", resource="pods", subresource="log"))
    assert not allows(rule(resources=[written]), Request("get", resource="pods"))


def test_names_limit_to_objects_of_that_name() -> None:
    named = rule(resourceNames=["a"], verbs=["get", "list"])
    assert allows(named, Request("get", resource="pods", name="a"))
    assert not allows(named, Request("get", resource="pods", name="b"))
    assert not allows(named, Request("list", resource="pods"))
    assert allows(named, Request("list", resource="pods", name="a")), "a field selector on the name counts as the name"


def test_the_empty_name_is_every_request_without_one() -> None:
    nameless = rule(resources=["secrets"], resourceNames=[""], verbs=["get", "list", "deletecollection"])
    assert allows(nameless, Request("list", resource="secrets"))
    assert allows(nameless, Request("deletecollection", resource="secrets"))
    assert not allows(nameless, Request("get", resource="secrets", name="s1"))


def test_a_star_is_no_wildcard_for_names() -> None:
    assert not allows(rule(resourceNames=["*"]), Request("get", resource="pods", name="a"))


def test_no_names_is_every_name() -> None:
    assert allows(rule(resourceNames=[]), Request("get", resource="pods", name="a"))
    assert allows(rule(resourceNames=None), Request("get", resource="pods", name="a"))


@pytest.mark.parametrize(
    ("url", "path", "allowed"),
    [
        ("*", "", True),
        ("*", "/metrics", True),
        ("/*", "", False),
        ("/foo*", "/foo", True),
        ("/foo*", "/foobar", True),
        ("/foo*", "/foo/x", True),
        ("/foo/*", "/foo", False),
        ("/foo/*", "/foo/", True),
        ("/foo**", "/foobar", True),
        ("/f*o", "/foo", False),
        ("/f*o", "/f*o", True),
        ("/foo", "/foo/", False),
    ],
)
def test_urls_are_exact_or_prefixes(url: str, path: str, *, allowed: bool) -> None:
    assert allows([{"nonResourceURLs": [url], "verbs": ["get"]}], Request("get", path=path)) is allowed


def test_everything_on_resources_is_nothing_on_urls() -> None:
    assert not allows(rule(apiGroups=["*"], resources=["*"], verbs=["*"]), Request("get", path="/metrics"))


@pytest.mark.parametrize("nothing", [None, [], (), RuleSet()])
def test_no_rules_allow_nothing(nothing: Any) -> None:
    assert not allows(nothing, Request("get", resource="pods"))


def test_unknown_fields_and_null_lists_are_passed_over() -> None:
    assert parse([{"verbs": ["get"], "apiGroups": None, "attributeRestrictions": {"x": 1}}]).manifest() == [
        {"verbs": ["get"]}
    ]


def test_names_of_any_kind_are_kept_as_they_are() -> None:
    names = ["with space", "*", "a:b", "<script>", "ü", "\u202e"]
    assert parse(rule(resourceNames=names)).rules[0].names == tuple(names)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("get pods", "rules must be a list, not a string"),
        ({"verbs": ["get"]}, "rules must be a list, not a mapping"),
        (3, "rules must be a list, not a number"),
        (["get"], "rules[0] must be a mapping, not a string"),
        ([{}, None], "rules[1] must be a mapping, not null"),
        (rule(verbs="get"), "rules[0].verbs must be a list, not a string"),
        (rule(verbs=""), "rules[0].verbs must be a list, not a string"),
        (rule(resources={"pods": 1}), "rules[0].resources must be a list, not a mapping"),
        (rule(resourceNames=["a", 1]), "rules[0].resourceNames[1] must be a string, not a number"),
        (rule(verbs=[True]), "rules[0].verbs[0] must be a string, not a boolean"),
        (rule(verbs=[None]), "rules[0].verbs[0] must be a string, not null"),
    ],
)
def test_what_no_api_server_would_take_is_refused_with_its_place(rules: Any, message: str) -> None:
    with pytest.raises(InvalidRules) as raised:
        parse(rules)
    assert str(raised.value) == message


def test_rules_are_counted_joined_and_gone_through_like_a_list() -> None:
    two = parse(rule()) + parse(rule(verbs=["list"]))
    assert (len(two), [one.verbs for one in two], parse(list(two))) == (2, [("get",), ("list",)], two)


def test_a_request_reads_as_people_write_it() -> None:
    assert str(Request("list", resource="secrets", namespace="web")) == "list secrets in web"
    assert str(Request("patch", "apps", "deployments", "scale", "a")) == "patch deployments.apps/scale a"
    assert str(Request("get", path="/metrics")) == "get /metrics"


def test_its_command_is_quoted_for_a_shell() -> None:
    request = Request("get", "apps", "deployments", "scale", "a b; rm -rf", "web")
    assert request.kubectl("eve's", ("x y",)) == (
        "kubectl auth can-i get 'deployments.apps/a b; rm -rf' --subresource=scale --namespace web "
        "'--as=eve'\"'\"'s' '--as-group=x y'"
    )
    assert Request("get", path="/logs").kubectl() == "kubectl auth can-i get /logs"
    assert Request("list", resource="nodes").kubectl() == "kubectl auth can-i list nodes --all-namespaces"
