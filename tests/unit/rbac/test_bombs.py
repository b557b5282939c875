"""Rules built to blow up: everything still ends, with an exact verdict or a plain word."""

import random
from typing import Any

import pytest

from alerts.rbac import (
    Access,
    Binding,
    Role,
    RoleRef,
    Subject,
    Verdict,
    assess,
    compare,
    held,
    inert,
    matrix,
    parse,
    similar,
    smallest_default,
)
from tests.unit.rbac import generate

WORDS = [f"w{number}" for number in range(2_000)]
CUT_OFF = "too large to compare completely: the rules overlap in too many ways"
REF = RoleRef("ClusterRole", "bomb")


def _one_huge() -> list[dict[str, Any]]:
    return [{"apiGroups": [""], "resources": ["secrets", *WORDS], "verbs": ["get", *WORDS], "resourceNames": WORDS}]


def _many_small() -> list[dict[str, Any]]:
    return [
        {"apiGroups": [""], "resources": ["secrets", word], "verbs": ["get"], "resourceNames": [word]} for word in WORDS
    ]


def _halves(chance: random.Random) -> list[dict[str, Any]]:
    words = WORDS[:60]
    fields = ("verbs", "resources", "resourceNames")
    return [{"apiGroups": [""], **{field: chance.sample(words, 20) for field in fields}} for _ in range(300)]


def test_a_rule_of_eight_billion_permissions_has_an_exact_verdict() -> None:
    comparison = compare(_many_small(), _one_huge())
    assert comparison.verdict is Verdict.NEW_ACCESS
    assert compare(_one_huge(), _many_small()).verdict is Verdict.NARROWED
    assert compare(_one_huge(), _one_huge()).verdict is Verdict.EQUIVALENT


def test_thousands_of_rules_against_thousands_are_compared_completely() -> None:
    others = [rule | {"resourceNames": [f"other-{rule['resourceNames'][0]}"]} for rule in _many_small()]
    comparison = compare(_many_small(), others)
    assert (comparison.verdict, comparison.cut_off) == (Verdict.MIXED, "")
    assert len(comparison.gains) > 0


def test_what_overlaps_in_too_many_ways_is_cut_off_with_a_plain_word() -> None:
    chance = generate.source(7)
    comparison = compare(_halves(chance), _halves(chance))
    assert comparison.cut_off == CUT_OFF
    assert comparison.verdict in {Verdict.MIXED, Verdict.UNKNOWN}
    assert (comparison.gains, comparison.losses, comparison.common) == ((), (), ())


def test_a_table_of_it_is_cut_off_with_a_plain_word() -> None:
    assert matrix(_one_huge()).cut_off == "too large for a table: the rules name too many resources and verbs"
    assert matrix(_halves(generate.source(1)), _halves(generate.source(2))).cut_off


@pytest.mark.parametrize("bomb", [_one_huge, _many_small])
def test_its_capabilities_and_score_are_still_found(bomb: Any) -> None:
    rules = parse(bomb())
    assert [one.id for one in held(rules)] == ["get-secrets"]
    binding = Binding("ClusterRoleBinding", "b", "", REF, (Subject("User", "mallory"),))
    assessment = assess(rules, ref=REF, access=Access([Role(REF, rules)], [binding]))
    assert assessment.score == 38
    assert similar(rules, {"itself": rules})[0].similarity == 1
    assert smallest_default(rules) is not None
    assert inert(rules) == ()
