"""Who may do what, where: roles, bindings, groups and aggregation of a whole cluster put together."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Any, Self

import msgspec

from alerts.rbac.aggregation import Aggregation, Origin
from alerts.rbac.capabilities import held
from alerts.rbac.objects import Binding, Role, RoleRef
from alerts.rbac.request import Request
from alerts.rbac.rules import Rule, RuleSet
from alerts.rbac.subjects import Subject

EVERYWHERE = ""
ROLES = frozenset({"ClusterRole", "Role"})
BINDINGS = frozenset({"ClusterRoleBinding", "RoleBinding"})
GRAVE = 80
# Of so many it is remembered whether they are powerful, as long as their name and groups are no longer than this.
_IDENTITIES, _LONGEST_IDENTITY = 4096, 2000


class Holder(msgspec.Struct, frozen=True):
    """Somebody who holds a role: the subject, the namespace it counts in ("" for everywhere), and the binding.

    `through` is () or the aggregated roles the rules pass through, the bound one last.
    """

    subject: Subject
    scope: str
    binding: Binding
    through: tuple[RoleRef, ...] = ()


class Source(msgspec.Struct, frozen=True):
    """Where a rule that somebody holds comes from: the role and index it stems from, and the binding that gives it."""

    rule: Rule
    role: RoleRef
    index: int
    binding: Binding


class Effective:
    """Everything a subject holds at a scope: the rules, and where each comes from, index by index."""

    def __init__(self, subject: Subject, scope: str, sources: tuple[Source, ...]) -> None:
        self.subject = subject
        self.scope = scope
        self.sources = sources

    @cached_property
    def rules(self) -> RuleSet:
        """The rules, in the order of `sources`."""
        return RuleSet(tuple(source.rule for source in self.sources))

    def allowing(self, request: Request) -> Source | None:
        """Return where the permission for a request comes from, or None if it is not permitted."""
        return next((source for source in self.sources if source.rule.allows(request)), None)


class Answer(msgspec.Struct, frozen=True):
    """One who can do something: the subject, where ("" for everywhere), and the rule that permits it."""

    subject: Subject
    scope: str
    source: Source


class Access:
    """The roles and bindings of a cluster at one moment. Never changes; other moments are other objects."""

    def __init__(
        self, roles: Iterable[Role] = (), bindings: Iterable[Binding] = (), *, stale: Iterable[RoleRef] = ()
    ) -> None:
        """Put roles and bindings together; of several with the same name the last counts. `stale` as in Aggregation."""
        self.roles: Mapping[RoleRef, Role] = {role.ref: role for role in roles}
        self.bindings = tuple(
            {(binding.kind, binding.namespace, binding.name): binding for binding in bindings}.values()
        )
        self.aggregation = Aggregation(self.roles, stale=stale)
        self._held: dict[RoleRef, tuple[RuleSet, tuple[Origin, ...]]] = {}
        self._known_powerful = lru_cache(_IDENTITIES)(self._powerful)

    @classmethod
    def of_manifests(cls, manifests: Iterable[Mapping[str, Any]]) -> Self:
        """Read a cluster from parsed manifests of the four kinds, in any order; other kinds are passed over.

        Raises InvalidRules.
        """
        roles, bindings = [], []
        for manifest in manifests:
            if manifest.get("kind") in ROLES:
                roles.append(Role.of_manifest(manifest))
            elif manifest.get("kind") in BINDINGS:
                bindings.append(Binding.of_manifest(manifest))
        return cls(roles, bindings)

    def with_(self, *objects: Role | Binding) -> "Access":
        """Return the same cluster with these roles and bindings added, or put in place of those of the same name."""
        roles = [item for item in objects if isinstance(item, Role)]
        changed = {item.ref for item in roles}
        stale = (
            {target for ref in changed for target in self.aggregation.targets(ref)} if changed & set(self.roles) else ()
        )
        return Access(
            (*self.roles.values(), *roles),
            (*self.bindings, *(item for item in objects if isinstance(item, Binding))),
            stale=self.aggregation.stale | set(stale),
        )

    def without(self, *objects: RoleRef | Binding) -> "Access":
        """Return the same cluster without these roles and bindings; aggregated roles lose what came from them."""
        refs = {item for item in objects if isinstance(item, RoleRef)}
        gone = {item for item in objects if isinstance(item, Binding)}
        stale = {target for ref in refs for target in self.aggregation.targets(ref)}
        return Access(
            (role for ref, role in self.roles.items() if ref not in refs),
            (binding for binding in self.bindings if binding not in gone),
            stale=self.aggregation.stale | stale,
        )

    def rules(self, ref: RoleRef) -> RuleSet:
        """Return the rules a role holds, aggregation included; none where there is no such role."""
        return self._hold(ref)[0]

    def _hold(self, ref: RoleRef) -> tuple[RuleSet, tuple[Origin, ...]]:
        held = self._held.get(ref)
        if held is None:
            held = self._held[ref] = self.aggregation.rules(ref)
        return held

    @cached_property
    def _by_role(self) -> Mapping[RoleRef, tuple[Binding, ...]]:
        return _grouped((binding.role, binding) for binding in self.bindings)

    @cached_property
    def _by_subject(self) -> Mapping[Subject, tuple[Binding, ...]]:
        return _grouped((subject, binding) for binding in self.bindings for subject in binding.subjects)

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """Everybody who is in a binding."""
        return tuple(self._by_subject)

    @cached_property
    def privileged_namespaces(self) -> frozenset[str]:
        """The namespaces whose service accounts hold something grave cluster-wide; kube-system is always among them."""
        found = {"kube-system"}
        grave: dict[RoleRef, bool] = {}
        for binding in self.bindings:
            accounts = {subject.namespace for subject in binding.subjects if subject.kind == "ServiceAccount"}
            if binding.namespace or not accounts - found:
                continue
            if binding.role not in grave:
                grave[binding.role] = any(one.base >= GRAVE for one in held(self.rules(binding.role)))
            if grave[binding.role]:
                found |= accounts
        return frozenset(found)

    def bindings_of(self, ref: RoleRef) -> tuple[Binding, ...]:
        """Return the bindings that refer to a role, whether it exists or not."""
        return self._by_role.get(ref, ())

    def aggregates(self, ref: RoleRef, labels: Mapping[str, str] | None = None) -> dict[RoleRef, tuple[RoleRef, ...]]:
        """Return the aggregated roles that a role feeds, transitively, each with the way there.

        With `labels`, those it would feed with other labels: the ones it had before, or is about to get.
        """
        return self.aggregation.targets(ref, labels)

    def holders(self, ref: RoleRef) -> tuple[Holder, ...]:
        """Return who holds a role: through its own bindings first, then through aggregated roles it feeds."""
        ways: dict[RoleRef, tuple[RoleRef, ...]] = {ref: (), **self.aggregates(ref)}
        return tuple(
            Holder(subject, binding.namespace, binding, way)
            for bound, way in ways.items()
            for binding in self.bindings_of(bound)
            for subject in binding.subjects
        )

    def grants(self, subject: Subject, groups: Iterable[str] = ()) -> Iterator[Binding]:
        """Yield the bindings that count for a subject: its own, and those of its groups.

        `groups` are further groups it is known to be in. ClusterRoleBindings come first, as the authorizer visits them.
        """
        identities = {subject: None}
        identities |= {Subject("Group", group): None for group in (*subject.implicit_groups, *groups)}
        found = {id(binding): binding for identity in identities for binding in self._by_subject.get(identity, ())}
        yield from (binding for binding in found.values() if not binding.namespace)
        yield from (binding for binding in found.values() if binding.namespace)

    def effective(self, subject: Subject, scope: str = EVERYWHERE, groups: Iterable[str] = ()) -> Effective:
        """Return everything a subject holds in a namespace, cluster-wide grants included, or ("") cluster-wide only."""
        bindings = (binding for binding in self.grants(subject, groups) if binding.namespace in {EVERYWHERE, scope})
        return Effective(subject, scope, tuple(source for binding in bindings for source in self._sources(binding)))

    def what_can(self, subject: Subject, groups: Iterable[str] = ()) -> dict[str, Effective]:
        """Return everything a subject holds, by scope: "" is everywhere, a namespace adds to that."""
        by_scope: dict[str, list[Source]] = {EVERYWHERE: []}
        for binding in self.grants(subject, groups):
            by_scope.setdefault(binding.namespace, []).extend(self._sources(binding))
        everywhere = by_scope[EVERYWHERE]
        return {
            scope: Effective(subject, scope, (*everywhere, *sources) if scope else tuple(sources))
            for scope, sources in by_scope.items()
        }

    def powerful(self, subject: Subject, groups: Iterable[str] = ()) -> bool:
        """Tell whether a subject may do something grave, anywhere."""
        groups = tuple(groups)
        # Where everybody acts through a proxy this is asked of each request. Whoever makes one chooses its groups.
        short = len(subject.name) + sum(map(len, groups)) <= _LONGEST_IDENTITY
        return (self._known_powerful if short else self._powerful)(subject, groups)

    def _powerful(self, subject: Subject, groups: tuple[str, ...]) -> bool:
        return any(
            one.base >= GRAVE
            for scope, effective in self.what_can(subject, groups).items()
            for one in held(effective.rules, scope)
        )

    def _sources(self, binding: Binding) -> Iterator[Source]:
        rules, origins = self._hold(binding.role)
        for rule, (ref, index) in zip(rules.rules, origins, strict=True):
            yield Source(rule, ref, index, binding)

    def who_can(self, request: Request, *, anywhere: bool = False) -> tuple[Answer, ...]:
        """Return everybody whose bindings permit a request, cluster-wide grants first.

        A RoleBinding counts only in its own namespace, and never for a URL. With `anywhere` a request without a
        namespace is asked in every namespace that has a RoleBinding.
        """
        answers = []
        permitting: dict[RoleRef, Source | None] = {}
        for binding in sorted(self.bindings, key=lambda binding: binding.namespace):
            inside = request.path is None and (
                binding.namespace == request.namespace or (anywhere and not request.namespace)
            )
            if binding.namespace and not inside:
                continue
            if binding.role not in permitting:
                found = (source for source in self._sources(binding) if source.rule.allows(request))
                permitting[binding.role] = next(found, None)
            source = permitting[binding.role]
            if source is not None:
                source = Source(source.rule, source.role, source.index, binding)
                answers += [Answer(subject, binding.namespace, source) for subject in binding.subjects]
        return tuple(answers)


def _grouped[Key](pairs: Iterable[tuple[Key, Binding]]) -> dict[Key, tuple[Binding, ...]]:
    groups: defaultdict[Key, list[Binding]] = defaultdict(list)
    for key, binding in pairs:
        groups[key].append(binding)
    return {key: tuple(bindings) for key, bindings in groups.items()}
