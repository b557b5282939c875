"""Our answers about rules against those of Kubernetes' own functions, on thousands of generated rule sets."""

import json
import random
import subprocess
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from alerts.rbac import Request, RuleSet, allows, compare, covers, parse, uncovered
from alerts.rbac.selectors import Selector
from tests.cluster.control_plane import binaries
from tests.unit.rbac import generate

pytestmark = pytest.mark.control_plane
SETS = 4_000

Ask = Callable[[Iterable[dict[str, Any]]], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def ask() -> Ask:
    program = binaries.require("rbac-oracle")

    def ask(questions: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        lines = "".join(json.dumps(question) + "\n" for question in questions)
        done = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    return ask


def _request(request: Request) -> dict[str, Any]:
    fields = ("verb", "group", "resource", "subresource", "name", "path")
    return {field: value for field in fields if (value := getattr(request, field)) is not None}


def test_we_allow_what_kubernetes_allows(ask: Ask) -> None:
    chance = generate.source(36)
    questions = [
        (rules, make(chance, rules))
        for rules in (generate.rules(chance) for _ in range(SETS))
        for make in (_stray, *[generate.request_near] * 4)
    ]
    answers = ask({"op": "allows", "rules": rules, "request": _request(request)} for rules, request in questions)
    wrong = [
        (rules, request, answer)
        for (rules, request), answer in zip(questions, answers, strict=True)
        if answer != {"allowed": allows(rules, request)}
    ]
    assert wrong == []
    allowed = sum(answer["allowed"] for answer in answers)
    assert len(questions) / 10 < allowed < len(questions) * 9 / 10, "the cases must not all be alike"


def test_we_cover_what_kubernetes_covers(ask: Ask) -> None:
    chance = generate.source(63)
    cases = [_pair(chance) for _ in range(SETS)]
    answers = ask({"op": "covers", "owner": owner, "servant": servant} for owner, servant in cases)
    wrong = [
        (owner, servant, answer)
        for (owner, servant), answer in zip(cases, answers, strict=True)
        if answer["covered"] != covers(owner, servant)
        or parse(answer.get("uncovered")) != RuleSet(tuple(uncovered(owner, servant)))
    ]
    assert wrong == []
    covered = sum(answer["covered"] for answer in answers)
    assert SETS / 10 < covered < SETS * 9 / 10, "the cases must not all be alike"


def test_there_is_new_access_just_where_kubernetes_finds_rules_uncovered(ask: Ask) -> None:
    chance = generate.source(66)
    cases = [
        ([generate.rule(chance) for _ in range(3)], [generate.rule(chance) for _ in range(3)]) for _ in range(SETS)
    ]
    cases = [(old, _mostly(chance, old, new)) for old, new in cases]
    cases = [case for case in cases if not _has_useless_slash(case)]
    answers = ask({"op": "covers", "owner": old, "servant": new} for old, new in cases)
    wrong = [
        (old, new, answer["covered"])
        for (old, new), answer in zip(cases, answers, strict=True)
        if answer["covered"] == compare(old, new).grants_new_access
    ]
    assert wrong == []


def test_every_example_of_a_gain_is_allowed_now_and_was_not_before(ask: Ask) -> None:
    chance = generate.source(69)
    pairs = [([generate.rule(chance) for _ in range(3)], [generate.rule(chance) for _ in range(3)]) for _ in range(800)]
    examples = [
        (old, new, part.example)
        for old, new in pairs
        for part in compare(old, new).gains
        if "/" not in part.example.resource
    ]
    now = ask({"op": "allows", "rules": new, "request": _request(example)} for _, new, example in examples)
    before = ask({"op": "allows", "rules": old, "request": _request(example)} for old, _, example in examples)
    wrong = [
        example
        for example, new, old in zip(examples, now, before, strict=True)
        if (new, old) != ({"allowed": True}, {"allowed": False})
    ]
    assert wrong == []
    assert len(examples) > 800


def test_we_select_whom_kubernetes_selects(ask: Ask) -> None:
    chance = generate.source(72)
    cases = [(_selector(chance), _labels(chance)) for _ in range(SETS)]
    answers = ask({"op": "selects", "selector": selector, "labels": labels} for selector, labels in cases)
    wrong = [
        (selector, labels, answer)
        for (selector, labels), answer in zip(cases, answers, strict=True)
        if answer.get("selected", False) != Selector.of_manifest(selector).matches(labels)
    ]
    assert wrong == []


def _stray(chance: random.Random, _rules: list[dict[str, Any]]) -> Request:
    return generate.request(chance)


def _pair(chance: random.Random) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    owner, servant = generate.rules(chance), generate.rules(chance, 2)
    return (owner, _mostly(chance, owner, servant)) if owner else (owner, servant)


def _mostly(chance: random.Random, owner: list[dict[str, Any]], servant: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rules that are near the owner's: some of its own, with a word more or less, and sometimes a stranger."""
    near = []
    for rule in owner:
        copy = {field: list(values or []) for field, values in rule.items()}
        field = chance.choice(list(copy) or ["verbs"])
        if copy.get(field) and chance.random() < 0.4:
            copy[field] = copy[field][: chance.randint(1, len(copy[field]))]
        near.append(copy)
    return near + (servant[:1] if chance.random() < 0.3 else [])


def _has_useless_slash(case: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> bool:
    """Tell whether a resource is like `pods/`: Covers thinks that `*/` covers it, and no request ever meets either."""
    return any(written.endswith("/") for rules in case for rule in rules for written in rule.get("resources") or ())


def _selector(chance: random.Random) -> dict[str, Any]:
    selector: dict[str, Any] = {}
    if chance.random() < 0.6:
        selector["matchLabels"] = _labels(chance)
    if chance.random() < 0.6:
        selector["matchExpressions"] = [
            {"key": chance.choice("ab"), "operator": operator, "values": values}
            for operator, values in chance.sample(
                [("In", ["1"]), ("In", ["1", "2"]), ("NotIn", ["1"]), ("Exists", []), ("DoesNotExist", [])], 2
            )
        ]
    return selector


def _labels(chance: random.Random) -> dict[str, str]:
    return {key: chance.choice("12") for key in "ab" if chance.random() < 0.5}
