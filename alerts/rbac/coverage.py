"""Whether one set of rules covers another: the test that Kubernetes makes before somebody may grant a role."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import product

from alerts.rbac.difference import TooMuchWork
from alerts.rbac.rules import Rule, Rules, RuleSet, parse
from alerts.rbac.urls import Pattern

STAR = "*"
WORK = 2_000_000  # combinations looked at; about a second


class _Owners:
    """The owner's rules as bit masks: for every word, which rules hold it.

    A rule covers one single permission when its bit is set in every dimension's mask.
    """

    def __init__(self, rules: RuleSet) -> None:
        self.work = WORK
        self.all = (1 << len(rules.rules)) - 1
        self._verbs = _masks(rule.verbs for rule in rules.rules)
        self._groups = _masks(rule.groups for rule in rules.rules)
        self._resources = _masks(rule.resources for rule in rules.rules)
        self._names = _masks(rule.names for rule in rules.rules)
        self._unnamed = sum(1 << index for index, rule in enumerate(rules.rules) if not rule.names)
        self._urls = _masks(rule.urls for rule in rules.rules)
        self._prefixes: defaultdict[str, int] = defaultdict(int)
        for url, mask in self._urls.items():
            pattern = Pattern.parse(url)
            if pattern.prefix:
                self._prefixes[pattern.text] |= mask

    def verb(self, verb: str) -> int:
        return self._verbs.get(STAR, 0) | self._verbs.get(verb, 0)

    def group(self, group: str) -> int:
        return self._groups.get(STAR, 0) | self._groups.get(group, 0)

    def resource(self, resource: str) -> int:
        found = self._resources.get(STAR, 0) | self._resources.get(resource, 0)
        _, slash, subresource = resource.partition("/")
        return found | self._resources.get(f"*/{subresource}", 0) if slash else found

    def name(self, name: str | None) -> int:
        return self._unnamed if name is None else self._unnamed | self._names.get(name, 0)

    def url(self, url: str) -> int:
        found = self._urls.get(url, 0)
        for length in range(len(url) + 1):
            found |= self._prefixes.get(url[:length], 0)
        return found & self._unnamed


def _masks(lists: Iterable[Sequence[str]]) -> dict[str, int]:
    masks: defaultdict[str, int] = defaultdict(int)
    for index, values in enumerate(lists):
        for value in values:
            masks[value] |= 1 << index
    return dict(masks)


def covers(owner: Rules, servant: Rules) -> bool:
    """Answer whether the owner's rules cover everything the servant's rules permit.

    Equals Covers (staging/src/k8s.io/component-helpers/auth/rbac/validation/policy_comparator.go) always. Values that
    the same owner rules hold are looked at once, so long lists cost little.
    Raises TooMuchWork for rules built to take forever.
    """
    owners = _Owners(parse(owner))
    return all(_covered(owners, rule) for rule in parse(servant).rules)


def _covered(owners: _Owners, rule: Rule) -> bool:
    verbs = {owners.verb(verb) for verb in rule.verbs}
    if rule.urls and verbs:
        urls = {owners.url(url) for url in rule.urls}
        if not all(verb & url for verb in verbs for url in urls):
            return False
    if not (rule.groups and rule.resources and verbs):
        return True
    held = {owners.all}
    # A combination that no owner rule holds decides at once; only lists that overlap in very many ways go on for long.
    for masks in (
        {owners.group(group) for group in rule.groups},
        {owners.resource(resource) for resource in rule.resources},
        verbs,
        {owners.name(name) for name in rule.names or (None,)},
    ):
        combined: set[int] = set()
        for left, right in product(held, masks):
            if not left & right:
                return False
            owners.work -= 1
            if owners.work < 0:
                raise TooMuchWork("too large to compare completely: the rules overlap in too many ways")
            combined.add(left & right)
        held = combined
    return True


def uncovered(owner: Rules, servant: Rules) -> Iterator[Rule]:
    """Yield the single permissions of the servant that the owner does not cover, in Kubernetes' order.

    Each has one verb and one resource or URL, and at most one name. Repeats are kept, as Covers keeps them. They may be
    very many: take as many as you need.
    """
    owners = _Owners(parse(owner))
    for rule in parse(servant).rules:
        names: Sequence[str | None] = rule.names or (None,)
        for group in rule.groups:
            for resource in rule.resources:
                held = owners.group(group) & owners.resource(resource)
                for verb in rule.verbs:
                    for name in names:
                        if not held & owners.verb(verb) & owners.name(name):
                            yield Rule((verb,), (group,), (resource,), () if name is None else (name,))
        for url in rule.urls:
            held = owners.url(url)
            for verb in rule.verbs:
                if not held & owners.verb(verb):
                    yield Rule((verb,), urls=(url,))
