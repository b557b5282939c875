"""What changed between two sets of rules."""

from typing import Any

import pytest

from alerts.rbac import UNSEEN, Request, allows, compare, default_roles, known


def rule(
    verbs: str, resources: str, *, groups: list[str] | None = None, names: list[str] | None = None
) -> dict[str, Any]:
    made: dict[str, Any] = {"verbs": verbs.split(), "apiGroups": groups or [""], "resources": resources.split()}
    return made | ({"resourceNames": names} if names else {})


READ = rule("get list", "pods")
URLS = {"nonResourceURLs": ["/healthz", "/metrics*"], "verbs": ["get"]}


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ([READ], [READ, rule("get", "secrets")], "new access"),
        ([READ, rule("get", "secrets")], [READ], "narrowed"),
        ([READ], [rule("list", "pods"), rule("get get", "pods")], "equivalent"),
        ([READ], [rule("get", "pods secrets")], "mixed"),
        (UNSEEN, [READ], "unknown"),
        ([READ], UNSEEN, "unknown"),
        (None, [READ], "new access"),
        (None, None, "equivalent"),
        ([READ], None, "narrowed"),
        ([rule("get", "pods", names=["a"])], [rule("get", "pods")], "new access"),
        ([rule("get list watch", "*")], [rule("*", "*")], "new access"),
        ([URLS], [{"nonResourceURLs": ["/metrics", "/healthz"], "verbs": ["get"]}], "narrowed"),
        ([rule("*", "*", groups=["*"])], [rule("*", "*", groups=["*"]), rule("get", "pods")], "equivalent"),
    ],
)
def test_the_verdict(old: Any, new: Any, verdict: str) -> None:
    assert compare(old, new).verdict == verdict


def test_a_gain_knows_its_rule_and_an_example() -> None:
    comparison = compare([READ], [READ, rule("get list", "pods secrets", groups=["", "apps"])])
    assert [(str(gain), gain.rules) for gain in comparison.gains] == [
        ("get, list on pods, secrets in apps", (1,)),
        ("get, list on secrets", (1,)),
    ]
    assert comparison.gains[1].example == Request("list", resource="secrets")


def test_a_loss_knows_the_old_rule() -> None:
    comparison = compare([READ, rule("get", "secrets")], [READ])
    assert [(str(loss), loss.rules) for loss in comparison.losses] == [("get on secrets", (1,))]


def test_what_stayed_is_listed_too() -> None:
    assert [part.text for part in compare([READ], [rule("get", "pods secrets")]).common] == ["get on pods"]


def test_gains_from_rules_that_overlap_name_both() -> None:
    comparison = compare(None, [rule("get", "pods"), rule("get", "pods")])
    assert [(gain.text, gain.rules) for gain in comparison.gains] == [("get on pods", (0, 1))]


def test_verbs_to_come_are_a_gain() -> None:
    comparison = compare(
        [rule("get list watch create update patch delete deletecollection", "pods")], [rule("*", "pods")]
    )
    (gain,) = comparison.gains
    assert gain.text.startswith("every verb except create, delete")
    assert gain.example.verb not in {"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}
    assert allows([rule("*", "pods")], gain.example)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (None, [rule("get", "*")], "get on every resource"),
        ([rule("get", "pods")], [rule("get", "*")], "get on every resource except pods"),
        ([rule("get", "pods/log")], [rule("get", "*")], "get on every subresource except log of pods"),
        ([rule("get", "pods")], [rule("get", "*")], "get on every subresource except the resource itself of pods"),
        (None, [rule("get", "*/scale")], "get on scale of every resource"),
        (None, [rule("get", "pods", names=["", "a"])], "get on pods named nothing, a"),
        ([rule("get", "pods", names=["a"])], [rule("get", "pods")], "get on pods named anything except a"),
        (None, [rule("get", "pods", groups=["", "apps"])], "get on pods in core, apps"),
        (None, [rule("get", " ".join("abcdefgh"))], "get on a, b, c, d, e, f and 2 more"),
        (
            [rule("get", "pods", groups=["x"])],
            [rule("get", "pods", groups=["*"])],
            "get on pods in every API group except x",
        ),
    ],
)
def test_pieces_read_as_people_write_them(old: Any, new: Any, text: str) -> None:
    assert text in [gain.text for gain in compare(old, new).gains]


def test_words_are_made_up_only_where_nothing_exists_yet() -> None:
    everything_known = [rule("*", "*", groups=sorted({action.group for action in known().actions}))]
    (gain,) = compare(everything_known, [rule("*", "*", groups=["*"])]).gains
    assert gain.example == Request("get", "example.com", "anything")
    taken = [rule("*", "*", groups=[*everything_known[0]["apiGroups"], "example.com"])]
    assert compare(taken, [rule("*", "*", groups=["*"])]).gains[0].example.group == "example.comx"


def test_names_that_were_added_are_a_gain() -> None:
    comparison = compare([rule("get", "secrets", names=["a"])], [rule("get", "secrets", names=["a", "b"])])
    assert [gain.text for gain in comparison.gains] == ["get on secrets named b"]
    assert comparison.gains[0].example == Request("get", resource="secrets", name="b")


def test_the_empty_name_is_access_without_naming_an_object() -> None:
    comparison = compare(None, [rule("list deletecollection", "secrets", names=[""])])
    assert [gain.text for gain in comparison.gains] == ["deletecollection, list on secrets without naming an object"]
    assert comparison.gains[0].example == Request("list", resource="secrets")


def test_urls_are_subtracted_from_prefixes() -> None:
    comparison = compare([URLS], [{"nonResourceURLs": ["*"], "verbs": ["get"]}])
    (gain,) = comparison.gains
    assert gain.text == "get on every URL except /healthz, /metrics*"
    assert gain.example.path is not None
    assert not gain.example.path.startswith("/metrics")


def test_an_example_of_urls_is_found_whatever_is_cut_out() -> None:
    holes = ["/", "/a*", "/b*", "/c*", "/anything", "//*"]
    gains = compare(
        [{"nonResourceURLs": holes, "verbs": ["get"]}], [{"nonResourceURLs": ["/*"], "verbs": ["get"]}]
    ).gains
    assert [gain.example.path for gain in gains] == ["/danything"]


def test_an_unseen_baseline_gives_no_lists() -> None:
    comparison = compare(UNSEEN, [READ])
    assert (comparison.gains, comparison.losses, comparison.common) == ((), (), ())
    assert not comparison.grants_new_access


def test_every_default_role_against_every_other_agrees_with_its_examples() -> None:
    roles = [role.rules for role in list(default_roles().values())[::6]]
    for old in roles:
        for new in roles:
            for gain in compare(old, new).gains:
                assert allows(new, gain.example)
                assert not allows(old, gain.example)
