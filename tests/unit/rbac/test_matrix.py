"""The table of permissions that people read."""

from typing import Any

from alerts.rbac import UNSEEN, Cell, Change, Manner, Matrix, Row, Universe, default_roles, inert, matrix
from tests.unit.rbac.writing import rules


def row(table: Matrix, label: str) -> Row:
    (found,) = (one for one in (*table.rows, *table.rest) if label in one.resources)
    return found


def look(one: Row) -> str:
    """Return a row's cells: the symbol, a star for a wildcard, n for names, the special verbs in brackets."""
    return " ".join(map(_cell, one.cells))


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "_"
    verbs = f"({','.join(cell.verbs)})" if cell.verbs else ""
    return cell.symbol + {"exact": "", "wildcard": "*", "named": "n"}[cell.manner] + verbs


def test_columns_are_the_usual_verbs_and_one_for_the_others() -> None:
    assert matrix(None).columns == (
        *("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"),
        "special",
    )


def test_what_is_held_is_marked_by_how_it_is_written() -> None:
    table = matrix(rules("get on secrets named a", "list on *", "create on pods"))
    assert look(row(table, "secrets")) == "✓n ✓* _ _ _ _ _ _ _"
    assert row(table, "secrets").cells[0] == Cell(Change.HELD, Manner.NAMED, ("a",), (), (0,))
    assert look(row(table, "pods")) == "_ ✓* _ ✓ _ _ _ _ _"


def test_changes_are_marked_against_the_old_rules() -> None:
    table = matrix(rules("get, list on secrets", "get on pods"), rules("get, watch on secrets", "get on pods"))
    assert look(row(table, "secrets")) == "· + \N{MINUS SIGN} _ _ _ _ _ _"
    assert look(row(table, "pods")) == "· _ _ _ _ _ _ _ _"


def test_against_nothing_everything_is_gained() -> None:
    assert look(row(matrix(rules("get on pods"), None), "pods")) == "+ _ _ _ _ _ _ _ _"


def test_names_that_came_and_went_are_told_beside_those_that_stayed() -> None:
    table = matrix(rules("get on secrets named a, b"), rules("get on secrets named a, c"))
    cell = row(table, "secrets").cells[0]
    assert cell is not None
    assert (cell.change, cell.names, cell.kept) == ("changed", ("b",), ("a",))
    assert cell.title == "changed only for b; unchanged: a"


def test_special_verbs_share_a_column() -> None:
    roles = "on clusterroles in rbac.authorization.k8s.io"
    table = matrix(rules(f"escalate, bind {roles}"), rules(f"bind {roles}"))
    cell = row(table, "clusterroles").cells[-1]
    assert cell is not None
    assert (cell.change, cell.verbs, cell.kept) == ("gained", ("escalate",), ("bind",))


def test_the_gravest_rows_come_first_and_stand_alone() -> None:
    table = matrix(rules("get, list on configmaps, events, secrets, endpoints"))
    assert [one.resources for one in table.rows] == [("secrets",), ("configmaps", "endpoints", "events")]


def test_resources_that_are_permitted_alike_share_a_row() -> None:
    table = matrix(default_roles()["view"].rules)
    assert len(table.rows) == 3
    assert table.rows[0].label.endswith("more")
    assert (table.actions, table.open) == (99, False)


def test_everything_is_few_rows_and_one_for_all_that_is_to_come() -> None:
    table = matrix(default_roles()["cluster-admin"].rules, default_roles()["view"].rules)
    assert len(table.rows) == 12
    assert table.open
    assert table.rows[-1].kind == "remainder"
    assert table.rows[-1].label.endswith("more, and all future")
    assert sum(len(one.resources) for one in table.rest) == int(table.rows[-1].label.split()[0])
    assert table.rows[0].gravity == 95


def test_a_star_for_verbs_says_so_in_the_last_column() -> None:
    assert look(row(matrix(rules("* on secrets")), "secrets")) == "✓* ✓* ✓* ✓* ✓* ✓* ✓* ✓* ✓*(any other)"


def test_what_no_api_serves_today_has_rows_of_its_own() -> None:
    table = matrix(rules("get on applications in argoproj.io", "* on * in example.com", "get on widgets in *"))
    assert {(one.kind, one.group, one.resources) for one in table.rows} == {
        ("unserved", "argoproj.io", ("applications",)),
        ("unserved", "example.com", ("*",)),
        ("unserved", "every other group", ("widgets",)),
    }


def test_groups_that_do_not_serve_a_resource_are_not_counted() -> None:
    table = matrix(rules("get on deployments, pods in core, apps"))
    assert {one.resources for one in table.rows} == {("deployments.apps", "pods")}
    assert table.actions == 2


def test_urls_have_rows_too() -> None:
    table = matrix(rules("get, post at /metrics, /logs*"))
    assert look(row(table, "/metrics")) == "✓ _ _ _ _ _ _ _ ✓(post)"
    assert look(row(table, "/logs*")) == "✓* _ _ _ _ _ _ _ ✓*(post)"


def test_in_a_namespace_only_what_is_in_namespaces_counts() -> None:
    table = matrix(rules("get on pods, nodes", "get at /metrics"), scope="web")
    assert [one.resources for one in table.rows] == [("pods",)]
    assert [str(one) for one in table.inert] == [
        "nodes: exists outside namespaces, where a RoleBinding does not reach",
        "/metrics: URLs count only through a ClusterRoleBinding",
    ]


def test_a_cluster_has_its_own_list_of_what_it_serves() -> None:
    served = Universe.of_resources(
        [{"group": "argoproj.io", "resource": "applications", "subresource": "", "namespaced": True, "verbs": ["get"]}]
    )
    assert matrix(rules("get on applications in argoproj.io"), universe=served).rows[0].kind == "resource"


def test_rules_nobody_saw_make_no_table() -> None:
    assert matrix(UNSEEN).rows == ()


def reasons(*phrases: str, scope: str = "") -> list[str]:
    return [str(one) for one in inert(rules(*phrases), scope)]


def test_words_that_grant_nothing_are_told_with_the_reason() -> None:
    assert reasons("get on pods/*, */*, Pods, pod, pods/, pods/log") == [
        "pods/*: a star after the slash is literal: it matches no subresource",
        "*/*: a star after the slash is literal: it matches no subresource",
        "Pods: resources are lower-case plurals, and case counts",
        "pod: resources are plurals",
        "pods/: there is nothing after the slash",
    ]
    assert reasons("get on pods in v1, apps/v1") == [
        'v1: the core group is written ""',
        "apps/v1: a group is written without its version",
    ]
    assert reasons("GET, post on pods") == [
        "GET: verbs are lower-case, and case counts",
        "post: requests on resources never have this verb",
    ]
    assert reasons("list at metrics") == [
        "metrics: every path starts with a slash",
        "list: requests on URLs have the HTTP method as verb",
    ]
    assert reasons("create, get on pods named *") == [
        "*: a star is a literal name here: it stands for no other",
        "create: names no object, so it is not permitted for objects by name",
    ]
    assert reasons("bind, escalate on rolebindings in rbac.authorization.k8s.io") == [
        "rolebindings: bind and escalate mean something only on roles and clusterroles"
    ]


def test_rules_that_lack_something_grant_nothing() -> None:
    lacking: list[dict[str, Any]] = [
        {"apiGroups": [""], "resources": ["pods"]},
        {"verbs": ["get"], "resources": ["pods"]},
        {"verbs": ["get"], "apiGroups": [""]},
    ]
    assert [(one.index, one.reason) for one in inert(lacking)] == [
        (0, "without a verb a rule permits nothing"),
        (1, "without an API group a rule permits nothing"),
        (2, "without a resource a rule permits nothing"),
    ]


def test_what_may_be_served_tomorrow_is_not_called_inert() -> None:
    assert (
        reasons("get on widgets in example.com", "create on pods/exec named a", "get on namespaces", scope="web") == []
    )
    assert reasons('create on pods named ""') == []
