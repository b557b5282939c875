"""Policy rules as manifests have them, and whether they allow a request: Kubernetes' own evaluation, word for word."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from alerts.rbac.boxes import Box
from alerts.rbac.difference import Boxes, pattern_box
from alerts.rbac.request import Request
from alerts.rbac.words import ANY, Words

FIELDS = {
    "verbs": "verbs",
    "apiGroups": "groups",
    "resources": "resources",
    "resourceNames": "names",
    "nonResourceURLs": "urls",
}


class InvalidRules(ValueError):
    """Rules that no API server would accept; the text names the place and what is wrong there."""


class Rule(msgspec.Struct, frozen=True):
    """One policy rule. `resources` holds what a manifest writes: `pods`, `pods/log`, `*/scale`, `*`."""

    verbs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    def allows(self, request: Request) -> bool:
        """Answer whether this rule allows the request.

        Follows RuleAllows (plugin/pkg/auth/authorizer/rbac/rbac.go) and its matchers
        (pkg/apis/rbac/v1/evaluation_helpers.go).
        """
        if "*" not in self.verbs and request.verb not in self.verbs:
            return False
        if request.path is not None:
            return any(_url_matches(url, request.path) for url in self.urls)
        return (
            ("*" in self.groups or request.group in self.groups)
            and self._names_resource(request.resource, request.subresource)
            and (not self.names or request.name in self.names)
        )

    def _names_resource(self, resource: str, subresource: str) -> bool:
        if "*" in self.resources:
            return True
        if not subresource:
            return resource in self.resources
        return f"{resource}/{subresource}" in self.resources or f"*/{subresource}" in self.resources

    def manifest(self) -> dict[str, list[str]]:
        """Return the rule as a manifest has it, without the lists it does not use."""
        return {field: list(value) for field, attribute in FIELDS.items() if (value := getattr(self, attribute))}

    def boxes(self, index: int) -> Boxes:
        """Return what the rule permits as boxes that remember the rule's index."""
        verbs = words(self.verbs)
        if not verbs:
            return Boxes()
        return Boxes(
            self._resource_boxes(verbs, index), [pattern_box(url, verbs, index) for url in dict.fromkeys(self.urls)]
        )

    def _resource_boxes(self, verbs: Words, index: int) -> Iterable[Box]:
        groups = words(self.groups)
        if not groups or not self.resources:
            return
        names = Words(frozenset(self.names)) if self.names else ANY
        if "*" in self.resources:
            yield Box(groups, ANY, ANY, names, verbs, (index,))
            return
        subresources: defaultdict[str, set[str]] = defaultdict(set)
        for written in self.resources:
            resource, subresource = split(written)
            subresources[resource].add(subresource)
        resources: defaultdict[frozenset[str], set[str]] = defaultdict(set)
        for resource, found in subresources.items():
            if resource == "*":
                yield Box(groups, ANY, Words(frozenset(found)), names, verbs, (index,))
            else:
                resources[frozenset(found)].add(resource)
        for found_subresources, found_resources in resources.items():
            yield Box(groups, Words(frozenset(found_resources)), Words(found_subresources), names, verbs, (index,))


def _url_matches(url: str, path: str) -> bool:
    return url == path or (url.endswith("*") and path.startswith(url.rstrip("*")))


def words(values: Iterable[str]) -> Words:
    """Return the set that a rule's verbs or groups stand for: a star among them means everything."""
    members = frozenset(values)
    return ANY if "*" in members else Words(members)


def split(written: str) -> tuple[str, str]:
    """Split a rule's resource at its first slash; `pods/` has no subresource and is a (useless) resource of its own."""
    resource, slash, subresource = written.partition("/")
    return (resource, subresource) if subresource else (resource + slash, "")


@dataclass(frozen=True)
class RuleSet:
    """The rules of a role, in order. What is worked out from them is remembered, so pass it on rather than the list."""

    rules: tuple[Rule, ...] = ()

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    def __len__(self) -> int:
        return len(self.rules)

    def __bool__(self) -> bool:
        return bool(self.rules)

    def __add__(self, other: "RuleSet") -> "RuleSet":
        return RuleSet(self.rules + other.rules)

    def allowing(self, request: Request) -> int | None:
        """Return the index of the first rule that allows the request, or None."""
        for index, rule in enumerate(self.rules):
            if rule.allows(request):
                return index
        return None

    @cached_property
    def boxes(self) -> Boxes:
        """Everything the rules permit."""
        parts = [rule.boxes(index) for index, rule in enumerate(self.rules)]
        return Boxes([box for part in parts for box in part.resources], [box for part in parts for box in part.urls])

    def manifest(self) -> list[dict[str, list[str]]]:
        """Return the rules as a manifest has them."""
        return [rule.manifest() for rule in self.rules]


type Rules = RuleSet | Iterable[Mapping[str, Any] | Rule] | None


def parse(rules: Rules) -> RuleSet:
    """Read rules as they stand in a parsed manifest: a list of mappings, or None for `rules: null` and no rules at all.

    Unknown fields are passed over and a null list is an empty one, as the API server has it.
    Raises InvalidRules where a rule is no mapping or a list holds something else than strings.
    """
    if isinstance(rules, RuleSet):
        return rules
    if rules is None:
        return RuleSet()
    if isinstance(rules, str | bytes | Mapping) or not isinstance(rules, Iterable):
        raise InvalidRules(f"rules must be a list, not {_kind(rules)}")
    return RuleSet(tuple(_rule(rule, f"rules[{index}]") for index, rule in enumerate(rules)))


def _rule(rule: Any, place: str) -> Rule:
    if isinstance(rule, Rule):
        return rule
    if not isinstance(rule, Mapping):
        raise InvalidRules(f"{place} must be a mapping, not {_kind(rule)}")
    values = {}
    for field, attribute in FIELDS.items():
        value = rule.get(field)
        if value:
            values[attribute] = _strings(value, f"{place}.{field}")
        elif value is not None and not isinstance(value, list | tuple):
            raise InvalidRules(f"{place}.{field} must be a list, not {_kind(value)}")
    return Rule(**values)


def _strings(value: Any, place: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise InvalidRules(f"{place} must be a list, not {_kind(value)}")
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise InvalidRules(f"{place}[{index}] must be a string, not {_kind(item)}")
    return tuple(value)


def _kind(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "a string", int: "a number", float: "a number", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), f"a {type(value).__name__}")


def allows(rules: Rules, request: Request) -> bool:
    """Answer whether the rules allow the request, exactly as Kubernetes' authorizer would."""
    return parse(rules).allowing(request) is not None
