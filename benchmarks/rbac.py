"""How fast permissions are reasoned about, each against the simplest way that is right: `python -m benchmarks.rbac`.

Prints a table of what was asked, our time and memory, the peer's time, and whether both agree. Deterministic; needs no
cluster and no database.
"""

import random
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from alerts.rbac import (
    Access,
    Action,
    Request,
    RoleRef,
    RuleSet,
    Subject,
    Verdict,
    allows,
    compare,
    default_roles,
    known,
    parse,
    similar,
)
from alerts.rbac.rules import Rule
from alerts.rbac.weights import weight

ROLES, BINDINGS, NAMESPACES = 5_000, 10_000, 200
SAMPLE = 50


@dataclass(frozen=True)
class Line:
    """One line of the report: seconds for us and for the simplest way, the limit we set ourselves, and a remark."""

    question: str
    ours: float
    limit: float
    peer: float | None
    remark: str

    def __str__(self) -> str:
        peer = f"{self.peer:9.3f} s" if self.peer is not None else "        – "
        kept = "kept" if self.ours <= self.limit else "BROKEN"
        return f"{self.question:54} {self.ours:8.4f} s  {self.limit:6.2f} s {kept:6} {peer}  {self.remark}"


def _chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  (nothing secret is made of it)


def timed[Result](work: Callable[[], Result]) -> tuple[float, Result]:
    """Return how many seconds some work took, and its result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def pairs() -> Line:
    """Compare every default role with every other, gains and losses as boxes; the peer only finds the verdict."""
    manifests = [role.rules.manifest() for role in default_roles().values()]
    ours, verdicts = timed(lambda: _verdicts([parse(rules) for rules in manifests]))
    parsed = [parse(rules) for rules in manifests]
    peer, expected = timed(
        lambda: [_verdict(_breakdown_covers(a, b), _breakdown_covers(b, a)) for a, b in product(parsed, parsed)]
    )
    assert verdicts == expected
    return Line(
        f"all {len(verdicts)} ordered pairs of the default roles", ours, 1.0, peer, "same verdicts; peer: breakdown"
    )


def _verdicts(roles: list[RuleSet]) -> list[Verdict]:
    return [compare(old, new).verdict for old, new in product(roles, roles)]


def _verdict(old_covers_new: bool, new_covers_old: bool) -> Verdict:
    if old_covers_new:
        return Verdict.EQUIVALENT if new_covers_old else Verdict.NARROWED
    return Verdict.NEW_ACCESS if new_covers_old else Verdict.MIXED


def _breakdown_covers(owner: RuleSet, servant: RuleSet) -> bool:
    """Decide containment as Kubernetes does it: every single permission against every rule of the owner."""
    return all(any(_rule_covers(rule, single) for rule in owner.rules) for single in _singles(servant))


def _singles(rules: RuleSet) -> list[Rule]:
    singles = []
    for rule in rules.rules:
        for group, written, verb in product(rule.groups, rule.resources, rule.verbs):
            singles += [Rule((verb,), (group,), (written,), (name,)) for name in rule.names]
            singles += [] if rule.names else [Rule((verb,), (group,), (written,))]
        singles += [Rule((verb,), urls=(url,)) for url, verb in product(rule.urls, rule.verbs)]
    return singles


def _rule_covers(owner: Rule, single: Rule) -> bool:
    return (
        _has(owner.verbs, single.verbs)
        and _has(owner.groups, single.groups)
        and all(
            "*" in owner.resources or written in owner.resources or f"*/{written.partition('/')[2]}" in owner.resources
            for written in single.resources
        )
        and (not owner.names or (bool(single.names) and set(single.names) <= set(owner.names)))
        and all(any(_url_covers(url, wanted) for url in owner.urls) for wanted in single.urls)
    )


def _has(owner: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    return "*" in owner or set(wanted) <= set(owner)


def _url_covers(owner: str, wanted: str) -> bool:
    return owner == wanted or (owner.endswith("*") and wanted.startswith(owner.rstrip("*")))


def ranking(cluster: Access) -> Line:
    """Rank one role against all others of a large cluster; the peer asks for every action whether it is permitted."""
    peers = {ref: role.rules for ref, role in cluster.roles.items()}
    role = default_roles()["edit"].rules
    known()
    ours, found = timed(lambda: similar(role, peers))
    sample = dict(list(peers.items())[: len(peers) // 20])
    peer, expected = timed(lambda: _rank(role, list(sample.values())))
    got = [round(one.similarity, 9) for one in similar(role, sample)]
    assert got == expected[: len(got)]
    remark = f"likest {found[0].similarity:.0%}; peer: sets of actions, a twentieth of the roles × 20"
    return Line(f"rank a role against {len(peers)} others", ours, 0.1, peer * 20, remark)


def _rank(role: RuleSet, peers: list[RuleSet]) -> list[float]:
    mine = _actions(role)
    likeness = set()
    for theirs in {frozenset(_actions(peer)) for peer in peers}:
        shared, either = (sum(map(weight, actions)) for actions in (mine & theirs, mine | theirs))
        likeness.add((round(shared / either, 9), theirs))
    return [number for number, _ in sorted(likeness, key=lambda one: -one[0])][:3]


def _actions(rules: RuleSet) -> set[Action]:
    named = {name for rule in rules.rules for name in rule.names} | {"", "anyname"}
    return {
        action
        for action in known().actions
        if any(
            allows(rules, Request(action.verb, action.group, action.resource, action.subresource, name))
            for name in named
            if bool(name) != (action.verb in {"create", "deletecollection"} and not action.subresource)
            and (name or (action.verb in {"list", "watch"} and not action.subresource) or not _needs_name(action))
        )
    }


def _needs_name(action: Action) -> bool:
    return bool(action.subresource) or action.verb not in {"list", "watch", "create", "deletecollection"}


def everybody(manifests: list[dict[str, Any]]) -> tuple[list[Line], Access]:
    """Work out what every subject of a large cluster holds; the peer goes through all bindings for each."""
    ours, (cluster, held) = timed(lambda: _everybody(manifests))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    assert peak < 500, f"{peak} MB"
    sample = _chance(1).sample(list(held), SAMPLE)
    rules = {ref: role.rules.rules for ref, role in cluster.roles.items()}
    peer, expected = timed(lambda: {subject: _naive(manifests, rules, subject) for subject in sample})
    assert {subject: held[subject] for subject in sample} == expected
    fresh = Access.of_manifests(manifests)
    assert len(fresh.subjects) == len(held)  # the index is made at the first question
    slowest = max(timed(partial(fresh.what_can, subject))[0] for subject in sample)
    count = len(held)
    return [
        Line(
            f"what each of {count} subjects holds",
            ours,
            5.0,
            peer / SAMPLE * count,
            f"{ROLES} roles, {BINDINGS} bindings, at most {peak} MB; peer: {SAMPLE} subjects, × {count // SAMPLE}",
        ),
        Line("what one subject holds (the slowest of some)", slowest, 0.02, peer / SAMPLE, "peer: on average"),
    ], cluster


type Holding = dict[str, frozenset[Rule]]


def _everybody(manifests: list[dict[str, Any]]) -> tuple[Access, dict[Subject, Holding]]:
    cluster = Access.of_manifests(manifests)
    return cluster, {
        subject: {scope: frozenset(found.rules.rules) for scope, found in cluster.what_can(subject).items()}
        for subject in cluster.subjects
    }


def _naive(manifests: list[dict[str, Any]], rules: dict[RoleRef, tuple[Rule, ...]], subject: Subject) -> Holding:
    found: dict[str, set[Rule]] = {"": set()}
    for binding in manifests:
        if "roleRef" not in binding:
            continue
        namespace = binding["metadata"].get("namespace", "")
        if any(_is(subject, each, namespace) for each in binding["subjects"]):
            ref = binding["roleRef"]
            home = namespace if ref["kind"] == "Role" else ""
            found.setdefault(namespace, set()).update(rules[RoleRef(ref["kind"], ref["name"], home)])
    return {scope: frozenset(held | found[""]) for scope, held in found.items()}


def _is(subject: Subject, each: dict[str, str], namespace: str) -> bool:
    if each["kind"] == "Group":
        return each["name"] in subject.implicit_groups
    home = each.get("namespace", namespace) if each["kind"] == "ServiceAccount" else ""
    return (each["kind"], each["name"], home) == (subject.kind, subject.name, subject.namespace)


def large_cluster() -> list[dict[str, Any]]:
    """Return the manifests of a large cluster, the same in every run."""
    chance = _chance(5)
    pool = [rule.manifest() for role in default_roles().values() for rule in role.rules.rules]
    manifests = []
    for number in range(ROLES):
        namespaced = number % 3 == 0
        metadata = {"name": f"role-{number}"} | ({"namespace": f"ns-{number % NAMESPACES}"} if namespaced else {})
        rules = [chance.choice(pool) for _ in range(chance.randint(1, 6))]
        manifests.append({"kind": "Role" if namespaced else "ClusterRole", "metadata": metadata, "rules": rules})
    return manifests + [_binding(number, manifests, chance) for number in range(BINDINGS)]


def _binding(number: int, roles: list[dict[str, Any]], chance: random.Random) -> dict[str, Any]:
    role = chance.choice(roles)
    namespace = role["metadata"].get("namespace") or (f"ns-{number % NAMESPACES}" if number % 2 else "")
    subjects = [_subject(chance) for _ in range(chance.randint(1, 3))]
    return {
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": f"binding-{number}"} | ({"namespace": namespace} if namespace else {}),
        "roleRef": {"kind": role["kind"], "name": role["metadata"]["name"]},
        "subjects": subjects,
    }


def _subject(chance: random.Random) -> dict[str, str]:
    kind = chance.choices(("ServiceAccount", "User", "Group"), (8, 1, 1))[0]
    number = chance.randrange(8_000 if kind == "ServiceAccount" else 500)
    subject = {"kind": kind, "name": f"{kind.lower()}-{number}"}
    return subject | ({"namespace": f"ns-{number % NAMESPACES}"} if kind == "ServiceAccount" else {})


def bombs() -> list[Line]:
    """Compare rule sets built to blow up."""
    chance = _chance(7)
    many = [f"w{number}" for number in range(3_000)]
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    cases = {
        "5,000 rules against 5,000 others": (
            [rule | {"resourceNames": [f"a{number}"]} for number in range(5_000)],
            [rule | {"resourceNames": [f"b{number}"]} for number in range(5_000)],
        ),
        "a rule of 27 billion permissions": (
            [rule | {"verbs": [word], "resources": [word]} for word in many],
            [{"apiGroups": [""], "resources": many, "verbs": many, "resourceNames": many}],
        ),
        "300 rules of random halves": (_halves(chance, 300), _halves(chance, 300)),
        "2,000 nested URLs": (
            [{"nonResourceURLs": [f"/{'a' * number}*"], "verbs": [f"v{number}"]} for number in range(2_000)],
            [{"nonResourceURLs": ["*"], "verbs": ["*"]}],
        ),
    }
    lines = []
    for name, (old, new) in cases.items():
        ours, comparison = timed(partial(compare, old, new))
        lines.append(
            Line(f"bomb: {name}", ours, 2.0, None, f"{comparison.verdict}; {comparison.cut_off or 'complete'}")
        )
    return lines


def _halves(chance: random.Random, count: int) -> list[dict[str, Any]]:
    words = [f"w{number}" for number in range(40)]
    return [
        {"apiGroups": [""], **{field: chance.sample(words, 20) for field in ("verbs", "resources", "resourceNames")}}
        for _ in range(count)
    ]


def main() -> None:
    """Measure everything and print a line each; exit 1 where a limit is broken."""
    manifests = large_cluster()
    lines, cluster = everybody(manifests)
    lines = [pairs(), ranking(cluster), *lines, *bombs()]
    print(f"{'question':54} {'ours':>10}  {'limit':>8}        {'peer':>10}")
    for line in lines:
        print(line)
    sys.exit(any(line.ours > line.limit for line in lines))


if __name__ == "__main__":
    main()
