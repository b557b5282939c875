"""Whether rules cover others: Kubernetes' test before somebody may grant a role."""

from typing import Any

import pytest

from alerts.rbac import Rule, TooMuchWork, Verdict, compare, coverage, covers, uncovered
from tests.unit.rbac import generate


def rule(verbs: str, resources: str, *, groups: str = "", names: str = "") -> dict[str, Any]:
    return {
        "verbs": verbs.split(),
        "apiGroups": groups.split(",") if groups else [""],
        "resources": resources.split(),
        "resourceNames": names.split(),
    }


def test_several_rules_cover_together() -> None:
    owner = [rule("get", "pods"), rule("list", "pods secrets")]
    assert covers(owner, [rule("get list", "pods")])
    assert not covers(owner, [rule("get list", "secrets")])


def test_a_star_is_covered_by_a_star_only() -> None:
    every_verb_there_is = rule("get list watch create update patch delete deletecollection", "pods")
    assert not covers([every_verb_there_is], [rule("*", "pods")])
    assert covers([rule("*", "pods")], [every_verb_there_is])


def test_a_subresource_star_covers_every_such_subresource() -> None:
    assert covers([rule("get", "*/scale")], [rule("get", "foo/scale bar/scale")])
    assert not covers([rule("get", "*/scale")], [rule("get", "foo")])


def test_rules_for_named_objects_do_not_cover_rules_for_all() -> None:
    assert not covers([rule("get", "pods", names="a b")], [rule("get", "pods")])
    assert covers([rule("get", "pods")], [rule("get", "pods", names="a")])
    assert covers([rule("get", "pods", names="a b")], [rule("get", "pods", names="b")])


def test_url_prefixes_cover_longer_ones() -> None:
    def urls(*of: str) -> list[dict[str, Any]]:
        return [{"verbs": ["get"], "nonResourceURLs": list(of)}]

    assert covers(urls("/apis/*"), urls("/apis/v1/*", "/apis/x"))
    assert not covers(urls("/apis/*"), urls("/apis"))
    assert not covers(urls("/apis"), urls("/apis*"))


def test_what_is_not_covered_is_listed_one_by_one_with_repeats() -> None:
    assert list(uncovered([rule("get", "pods")], [rule("get list list", "pods", names="a")])) == [
        Rule(("list",), ("",), ("pods",), ("a",)),
        Rule(("list",), ("",), ("pods",), ("a",)),
    ]


def test_urls_that_are_not_covered_are_listed_with_their_verbs() -> None:
    owner = [{"verbs": ["get"], "nonResourceURLs": ["/a*"]}]
    servant = [{"verbs": ["get", "post"], "nonResourceURLs": ["/ab", "/b"]}]
    assert list(uncovered(owner, servant)) == [
        Rule(("post",), urls=("/ab",)),
        Rule(("get",), urls=("/b",)),
        Rule(("post",), urls=("/b",)),
    ]


def test_what_would_take_forever_is_given_up_with_a_plain_word(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = generate.source(3)
    words = [f"w{number}" for number in range(60)]
    fields = ("verbs", "resources", "resourceNames")
    halves, others = (
        [{"apiGroups": [""], **{field: chance.sample(words, 40) for field in fields}} for _ in range(200)]
        for _ in range(2)
    )
    everything = [{"apiGroups": [""], **dict.fromkeys(fields, words)}]
    assert covers(halves, everything)
    monkeypatch.setattr(coverage, "WORK", 1_000)
    with pytest.raises(TooMuchWork, match="too large to compare completely"):
        covers(halves, everything)
    assert compare(halves, others).verdict is Verdict.UNKNOWN


def test_nothing_is_covered_by_nothing() -> None:
    assert covers(None, None)
    assert covers([], [{"verbs": ["get"]}])
    assert not covers(None, [rule("get", "pods")])
