"""Roles like a role, and the smallest default that would do."""

import pytest

from alerts.rbac import RuleSet, default_roles, parse, rare, similar, smallest_default
from tests.unit.rbac.writing import rules

DEFAULTS = {name: role.rules for name, role in default_roles().items()}
VIEW_AND_SECRETS = DEFAULTS["view"] + parse(rules("get, list, watch on secrets"))


def test_the_likest_comes_first_with_what_only_each_has() -> None:
    nearest = similar(VIEW_AND_SECRETS, {name: DEFAULTS[name] for name in ("edit", "view", "cluster-admin")})
    assert [peer.key for peer in nearest] == ["view", "edit", "cluster-admin"]
    view = nearest[0]
    assert ([part.text for part in view.only_here], view.only_there) == (["get, list, watch on secrets"], ())
    assert (view.used, 0 < view.contained < 1) == (1, True)
    assert nearest[2].contained == 1


def test_a_role_is_wholly_like_itself_in_other_words() -> None:
    (peer,) = similar(rules("get, list on pods"), {"same": rules("list on pods", "get on pods")})
    assert (peer.similarity, peer.contained, peer.used) == (1, 1, 1)


def test_dangerous_actions_count_more() -> None:
    mine = rules("list on secrets", "get on configmaps, endpoints")
    nearest = similar(mine, {"harmless": rules("get on configmaps, endpoints"), "secrets": rules("list on secrets")})
    assert [peer.key for peer in nearest] == ["secrets", "harmless"]


def test_a_role_and_what_it_is_made_of_are_told_once_and_rather_by_the_name_people_use() -> None:
    assert "system:aggregate-to-view" not in [peer.key for peer in similar(VIEW_AND_SECRETS, DEFAULTS)]


def test_what_has_nothing_in_common_is_left_out() -> None:
    assert similar(rules("get on pods"), {"other": rules("get on secrets"), "empty": None}) == ()
    assert similar(None, DEFAULTS) == ()


@pytest.mark.parametrize(
    ("role", "name"),
    [
        (rules("get, list on pods"), "view"),
        (VIEW_AND_SECRETS, "edit"),
        (rules("create on rolebindings in rbac.authorization.k8s.io"), "admin"),
        (rules("get on nodes"), "system:heapster"),
        (rules("get on widgets in example.com"), "system:controller:namespace-controller"),
        (rules("* on pods"), "cluster-admin"),
        (rules("get at /healthz"), "system:public-info-viewer"),
    ],
)
def test_the_smallest_default_that_would_do(role: RuleSet, name: str) -> None:
    fit = smallest_default(role)
    assert fit is not None
    assert fit.name == name


def test_how_much_of_it_would_be_used() -> None:
    whole, part = smallest_default(DEFAULTS["view"]), smallest_default(rules("get on pods"))
    assert whole is not None
    assert part is not None
    assert (whole.used, part.used < 0.1) == (1, True)


def test_what_no_other_role_is_capable_of_is_told() -> None:
    peers = {"one": rules("list on secrets"), "two": rules("get on pods")}
    assert rare(rules("list on secrets", "get on nodes/proxy"), peers) == (
        "Speak to the kubelets: none of 2 other roles here is capable of it",
    )
    assert rare(rules("list on secrets"), {}) == ("Read every secret at once: there are no other roles here",)
    assert rare(rules("get on pods"), peers) == ()
    assert rare(rules("* on secrets"), {"everything": rules("* on * in *")}) == ()
