"""Laws that hold for any rules at all."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some

from alerts.rbac import Request, RuleSet, Verdict, allows, compare, covers, held, least, parse
from alerts.rbac.boxes import Box, UrlBox
from alerts.rbac.difference import Boxes, compact, subtract
from alerts.rbac.rules import Rule
from tests.unit.rbac import generate

FEW = settings(max_examples=100, deadline=None, derandomize=True)


def _lists(words: Sequence[str], most: int = 3, least: int = 1) -> Any:
    return some.lists(some.sampled_from(words), min_size=least, max_size=most).map(tuple)


VERBS, GROUPS = ("get", "list", "create", "*"), ("", "apps", "*")
RESOURCES = ("pods", "secrets", "pods/log", "*/log", "*/scale", "*", "pods/*")
NAMES, URLS = ("", "a", "b", "*"), ("*", "/", "/a", "/a*", "/a/*", "/ab", "/b*")
ON_RESOURCES = some.builds(Rule, _lists(VERBS), _lists(GROUPS, 2), _lists(RESOURCES), _lists(NAMES, 2, least=0))
ON_URLS = some.builds(lambda verbs, urls: Rule(verbs, urls=urls), _lists(VERBS), _lists(URLS))
RULES = some.lists(ON_RESOURCES | ON_URLS, max_size=4).map(lambda rules: RuleSet(tuple(rules)))
REQUESTS = some.builds(
    Request,
    some.sampled_from(("get", "list", "create", "new")),
    some.sampled_from(("", "apps", "new")),
    some.sampled_from(("pods", "secrets", "new")),
    some.sampled_from(("", "log", "scale", "*", "new")),
    some.sampled_from(("", "a", "b", "*", "new")),
) | some.builds(
    lambda verb, path: Request(verb, path=path),
    some.sampled_from(("get", "list", "new")),
    some.sampled_from(("", "/", "/a", "/a/", "/a/b", "/ab", "/abc", "/b", "/new")),
)


def _holds(boxes: Boxes, request: Request) -> bool:
    return any(request in box for box in boxes)


def _boxes(*parts: Boxes) -> Boxes:
    return Boxes([box for part in parts for box in part.resources], [box for part in parts for box in part.urls])


@FEW
@given(RULES, REQUESTS)
def test_boxes_hold_just_what_the_rules_allow(rules: RuleSet, request: Request) -> None:
    assert _holds(rules.boxes, request) is allows(rules, request)


@FEW
@given(RULES, RULES, REQUESTS)
def test_a_difference_is_what_one_allows_and_the_other_does_not(one: RuleSet, other: RuleSet, request: Request) -> None:
    assert _holds(subtract(one.boxes, other.boxes), request) is (allows(one, request) and not allows(other, request))


@FEW
@given(RULES, RULES)
def test_subtracting_then_adding_gives_back_the_same_access(one: RuleSet, other: RuleSet) -> None:
    gains = subtract(one.boxes, other.boxes)
    common = subtract(one.boxes, gains)
    rebuilt = _boxes(gains, common)
    assert not subtract(rebuilt, one.boxes)
    assert not subtract(one.boxes, rebuilt)
    assert not subtract(common, other.boxes)


@FEW
@given(RULES, RULES, REQUESTS)
def test_joining_boxes_changes_nothing(one: RuleSet, other: RuleSet, request: Request) -> None:
    gains = subtract(one.boxes, other.boxes)
    assert _holds(compact(gains), request) is _holds(gains, request)
    assert len(compact(gains)) <= len(gains)


@FEW
@given(RULES)
def test_rules_cover_themselves(rules: RuleSet) -> None:
    assert covers(rules, rules)
    assert compare(rules, rules).verdict is Verdict.EQUIVALENT


@FEW
@given(RULES, RULES, RULES)
def test_covering_is_transitive(one: RuleSet, two: RuleSet, three: RuleSet) -> None:
    widest, middle = one + two + three, two + three
    assert covers(widest, middle)
    assert covers(middle, three)
    assert covers(widest, three)
    assert covers(one, three) or not (covers(one, two) and covers(two, three))


@FEW
@given(RULES, RULES)
def test_containment_is_the_absence_of_gains(old: RuleSet, new: RuleSet) -> None:
    assert covers(old, new) is not compare(old, new).grants_new_access


@FEW
@given(RULES, some.randoms())
def test_order_repeats_and_splitting_change_nothing(rules: RuleSet, chance: Any) -> None:
    split = [
        Rule((verb,), rule.groups, rule.resources, rule.names, rule.urls) for rule in rules.rules for verb in rule.verbs
    ]
    shuffled = [*split, *rules.rules[:1]]
    chance.shuffle(shuffled)
    assert compare(rules, RuleSet(tuple(shuffled))).verdict is Verdict.EQUIVALENT
    assert [one.id for one in held(rules)] == [one.id for one in held(RuleSet(tuple(shuffled)))]


@FEW
@given(RULES, RULES)
def test_gains_one_way_are_losses_the_other(old: RuleSet, new: RuleSet) -> None:
    there, back = compare(old, new), compare(new, old)
    assert {gain.text for gain in there.gains} == {loss.text for loss in back.losses}


@FEW
@given(RULES, RULES)
def test_every_piece_comes_from_the_rules_it_names(old: RuleSet, new: RuleSet) -> None:
    for gain in compare(old, new).gains:
        assert any(new.rules[index].allows(gain.example) for index in gain.rules)
        assert gain.example in gain.box
        assert isinstance(gain.box, Box | UrlBox)


@FEW
@given(RULES, RULES)
def test_more_rules_never_weigh_less(one: RuleSet, other: RuleSet) -> None:
    before = {each.id: each.base for each in held(one)}
    after = {each.id: each.base for each in held(one + other)}
    # What is said more widely replaces two of the wildcard rows.
    for key, base in before.items():
        assert after.get(key, 100 if "everything" in after else 0) >= base


@FEW
@given(some.integers(0, 10_000))
def test_the_least_rules_allow_what_was_seen_and_need_no_more(seed: int) -> None:
    chance = generate.source(seed)
    requests = [request for request in (generate.request(chance) for _ in range(8)) if "*" not in _words(request)]
    rules = least(requests)
    assert all(
        allows(rules, request) for request in requests if request.name or request.verb not in {"create", "delete"}
    )
    assert covers(rules, parse(rules.manifest()))


def _words(request: Request) -> set[str]:
    return {request.verb, request.group, request.resource, request.name, (request.path or "")[-1:]}
