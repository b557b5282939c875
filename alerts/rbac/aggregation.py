"""Aggregated ClusterRoles: which roles they take rules from, transitively, and which they hand them on to."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from alerts.rbac.objects import Role, RoleRef
from alerts.rbac.rules import Rule, RuleSet
from alerts.rbac.selectors import Selector

type Origin = tuple[RoleRef, int]


class Aggregation:
    """The aggregated roles among some roles, and what each comes to hold once the controller has caught up.

    Follows syncClusterRole (pkg/controller/clusterroleaggregation): selectors in order, roles by name, the role itself
    left out, equal rules once. What an aggregated role holds at this moment is kept too, because it is in force until
    the controller has run, except for the roles given as `stale`: they lost a source, and count without it.
    """

    def __init__(self, roles: Mapping[RoleRef, Role], *, stale: Iterable[RoleRef] = ()) -> None:
        self._roles = roles
        self.stale = frozenset(stale)

    @cached_property
    def _aggregated(self) -> tuple[Role, ...]:
        return tuple(sorted((role for role in self._roles.values() if role.selectors is not None), key=_name))

    @cached_property
    def _by_label(self) -> dict[tuple[str, str], list[Role]]:
        by_label: dict[tuple[str, str], list[Role]] = {}
        for role in self._cluster_roles:
            for label in role.labels.items():
                by_label.setdefault(label, []).append(role)
        return by_label

    @cached_property
    def _cluster_roles(self) -> Sequence[Role]:
        return sorted((role for role in self._roles.values() if role.ref.kind == "ClusterRole"), key=_name)

    def _selected(self, selector: Selector) -> Iterable[Role]:
        plain = next(
            (
                (need.key, need.values[0])
                for need in selector.requirements
                if need.operator == "In" and len(need.values) == 1
            ),
            None,
        )
        candidates = self._cluster_roles if plain is None else self._by_label.get(plain, ())
        return (role for role in candidates if selector.matches(role.labels))

    @cached_property
    def children(self) -> Mapping[RoleRef, tuple[RoleRef, ...]]:
        """For each aggregated role the roles its selectors match, in the controller's order."""
        return {
            role.ref: tuple(
                dict.fromkeys(
                    child.ref
                    for selector in role.selectors or ()
                    for child in self._selected(selector)
                    if child.ref != role.ref
                )
            )
            for role in self._aggregated
        }

    def sources(self, ref: RoleRef) -> tuple[RoleRef, ...]:
        """Return every role whose rules end up in this one, transitively, nearest first."""
        found: dict[RoleRef, None] = {}
        waiting = list(self.children.get(ref, ()))
        while waiting:
            child = waiting.pop(0)
            if child != ref and child not in found:
                found[child] = None
                waiting += self.children.get(child, ())
        return tuple(found)

    def targets(self, ref: RoleRef, labels: Mapping[str, str] | None = None) -> dict[RoleRef, tuple[RoleRef, ...]]:
        """Return every aggregated role that this role's rules end up in, each with the way there.

        With `labels` the answer is for other labels than the role has now, those it had before for example. The way
        starts at the first aggregated role and ends at the one it leads to.
        """
        if labels is None:
            labels = self._roles[ref].labels if ref in self._roles else {}
        first = (
            role.ref
            for role in self._aggregated
            if role.ref != ref and any(selector.matches(labels) for selector in role.selectors or ())
        )
        ways: dict[RoleRef, tuple[RoleRef, ...]] = {parent: (parent,) for parent in first}
        waiting = list(ways)
        while waiting:
            reached = waiting.pop(0)
            for parent in self._parents.get(reached, ()):
                if parent not in ways and parent != ref:
                    ways[parent] = (*ways[reached], parent)
                    waiting.append(parent)
        return ways

    @cached_property
    def _parents(self) -> dict[RoleRef, list[RoleRef]]:
        parents: dict[RoleRef, list[RoleRef]] = {}
        for parent, children in self.children.items():
            for child in children:
                parents.setdefault(child, []).append(parent)
        return parents

    def rules(self, ref: RoleRef) -> tuple[RuleSet, tuple[Origin, ...]]:
        """Return the rules a role holds, and for each the role and rule index it stems from."""
        role = self._roles.get(ref)
        if role is None:
            return RuleSet(), ()
        if role.selectors is None:
            return role.rules, tuple((ref, index) for index in range(len(role.rules)))
        rules: dict[Rule, Origin] = {}
        for source in self.sources(ref):
            child = self._roles[source]
            if child.selectors is None:
                for index, rule in enumerate(child.rules.rules):
                    rules.setdefault(rule, (source, index))
        for holder in (ref, *self.sources(ref)):
            if self._roles[holder].selectors is not None and holder not in self.stale:
                for index, rule in enumerate(self._roles[holder].rules.rules):
                    rules.setdefault(rule, (holder, index))
        return RuleSet(tuple(rules)), tuple(rules.values())


def _name(role: Role) -> str:
    return role.ref.name
