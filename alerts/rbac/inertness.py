"""Words in rules that can never match a request: what looks like a permission and is none."""

from collections.abc import Iterator

import msgspec

from alerts.rbac.actions import RBAC_GROUP, Universe, known
from alerts.rbac.rules import Rule, Rules, parse

HTTP_ONLY = frozenset({"post", "put", "head", "options"})
HTTP = frozenset({"get", "patch", "delete"}) | HTTP_ONLY


class Inert(msgspec.Struct, frozen=True):
    """A word of a rule that grants nothing: the rule's index, the manifest's field, the word and why."""

    index: int
    field: str
    word: str
    reason: str

    def __str__(self) -> str:
        return f"{self.word}: {self.reason}"


def inert(rules: Rules, scope: str = "", universe: Universe | None = None) -> tuple[Inert, ...]:
    """Return the words of rules that grant nothing, in order.

    With a `scope` the rules count in that namespace only. Only what is certain is named: a resource this cluster does
    not serve may be served tomorrow.
    """
    served = known() if universe is None else universe
    return tuple(
        Inert(index, field, word, reason)
        for index, rule in enumerate(parse(rules).rules)
        for field, word, reason in _of_rule(rule, scope, served)
    )


def _of_rule(rule: Rule, scope: str, universe: Universe) -> Iterator[tuple[str, str, str]]:
    if not rule.verbs:
        yield "verbs", "", "without a verb a rule permits nothing"
    if rule.urls:
        yield from _of_urls(rule, scope)
    if rule.resources or rule.groups:
        yield from _of_resources(rule, scope, universe)
    for verb in rule.verbs:
        if verb != verb.lower():
            yield "verbs", verb, "verbs are lower-case, and case counts"
        elif rule.resources and verb in HTTP_ONLY:
            yield "verbs", verb, "requests on resources never have this verb"


def _of_urls(rule: Rule, scope: str) -> Iterator[tuple[str, str, str]]:
    for url in rule.urls:
        if scope:
            yield "nonResourceURLs", url, "URLs count only through a ClusterRoleBinding"
        elif not url.startswith(("/", "*")):
            yield "nonResourceURLs", url, "every path starts with a slash"
    if not rule.resources:
        for verb in rule.verbs:
            if verb not in HTTP and verb != "*" and verb == verb.lower():
                yield "verbs", verb, "requests on URLs have the HTTP method as verb"


def _of_resources(rule: Rule, scope: str, universe: Universe) -> Iterator[tuple[str, str, str]]:
    if not rule.groups:
        yield "apiGroups", "", "without an API group a rule permits nothing"
    if not rule.resources:
        yield "resources", "", "without a resource a rule permits nothing"
    for group in rule.groups:
        if group in {"core", "v1"}:
            yield "apiGroups", group, 'the core group is written ""'
        elif "/" in group:
            yield "apiGroups", group, "a group is written without its version"
    for written in rule.resources:
        reason = _resource_reason(written, rule, scope, universe)
        if reason:
            yield "resources", written, reason
    yield from _of_names(rule)


def _resource_reason(written: str, rule: Rule, scope: str, universe: Universe) -> str:
    resource, _, subresource = written.partition("/")
    if subresource == "*":
        return "a star after the slash is literal: it matches no subresource"
    if written != written.lower():
        return "resources are lower-case plurals, and case counts"
    if written.endswith("/") and len(written) > 1:
        return "there is nothing after the slash"
    if resource not in universe.resources and {f"{resource}s", f"{resource}es", f"{resource[:-1]}ies"} & set(
        universe.resources
    ):
        return "resources are plurals"
    if rule.groups == (RBAC_GROUP,) and resource.endswith("bindings") and set(rule.verbs) <= {"bind", "escalate"}:
        return "bind and escalate mean something only on roles and clusterroles"
    if scope and _outside_namespaces(resource, rule, universe):
        return "exists outside namespaces, where a RoleBinding does not reach"
    return ""


def _outside_namespaces(resource: str, rule: Rule, universe: Universe) -> bool:
    # A RoleBinding does reach the namespace itself, and binding a ClusterRole is checked in the binding's namespace.
    if resource == "namespaces" or (resource == "clusterroles" and {"bind", "*"} & set(rule.verbs)):
        return False
    bits = universe.resources.get(resource, 0)
    if "*" not in rule.groups:
        bits &= sum(universe.groups.get(group, 0) for group in set(rule.groups))
    return bool(bits) and not bits & universe.namespaced


def _of_names(rule: Rule) -> Iterator[tuple[str, str, str]]:
    if "*" in rule.names:
        yield "resourceNames", "*", "a star is a literal name here: it stands for no other"
    unnameable = {"create", "deletecollection"} & set(rule.verbs)
    if rule.names and "" not in rule.names and not any("/" in written or written == "*" for written in rule.resources):
        for verb in sorted(unnameable):
            yield "verbs", verb, "names no object, so it is not permitted for objects by name"
