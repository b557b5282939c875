"""Which dangerous capabilities a set of rules gives, each with the request and rule that prove it."""

from collections.abc import Iterable, Iterator
from functools import cache, reduce
from operator import or_

from alerts.rbac.actions import AUTHENTICATION, NAMELESS_VERBS, Action, Universe
from alerts.rbac.boxes import Box
from alerts.rbac.capability import ANY_VERB, FRESH, Capability, Held, Proof, Way
from alerts.rbac.catalogue import CAPABILITIES
from alerts.rbac.examples import example
from alerts.rbac.request import Request
from alerts.rbac.rules import Rule, Rules, RuleSet, parse
from alerts.rbac.weights import gravity
from alerts.rbac.words import Words

IMPERSONATE_ON = "impersonate-on:"
MODES = {
    "user-info": "users",
    "serviceaccount": "serviceaccounts",
    "arbitrary-node": "nodes",
    "associated-node": "nodes",
}
CONSTRAINTS = "constraints.gatekeeper.sh"
BY_EXPANSION = 40
WILDCARDS = frozenset({"every-verb", "every-resource"})  # which everything implies
WRITES = Words.of("create", "update", "patch", "delete", "deletecollection")


@cache
def _universe() -> Universe:
    actions = (
        action
        for capability in CAPABILITIES
        for way in capability.ways
        for action in (*(action for need in way.needs for action in need), *way.companions)
    )
    return Universe(dict.fromkeys(actions), fresh=FRESH)


@cache
def _bit(action: Action) -> int:
    return 1 << _universe().actions.index(action)


@cache
def _needed() -> dict[str, tuple[tuple[int, ...], ...]]:
    """Return the actions of every need of every way to have a capability, by its id, as bits."""
    return {
        capability.id: tuple(tuple(reduce(or_, map(_bit, need)) for need in way.needs) for way in capability.ways)
        for capability in CAPABILITIES
    }


def held(rules: Rules, scope: str = "") -> tuple[Held, ...]:
    """Return the capabilities that rules give, worst first.

    With a `scope` the rules count in that namespace only, through a RoleBinding: what exists outside namespaces, URLs
    included, is then out of reach. Raises InvalidRules.
    """
    probe = _Probe(parse(rules), scope)
    found = {capability.id: worst for capability in CAPABILITIES if (worst := probe.worst(capability)) is not None}
    if "everything" in found and not found["everything"].names:
        found = {key: one for key, one in found.items() if key not in WILDCARDS}
    return worst_first(found.values())


def worst_first(found: Iterable[Held]) -> tuple[Held, ...]:
    """Return capabilities in the order in which they are told."""
    return tuple(sorted(found, key=lambda one: (-one.base, not one.complete, one.capability.number)))


def given(rules: Rules, capabilities: Iterable[Capability]) -> frozenset[str]:
    """Return the ids of those of the capabilities that rules give in the whole cluster.

    It looks for no others, so for few of them it takes less than `held`. Raises InvalidRules.
    """
    probe = _Probe(parse(rules), "")
    return frozenset(capability.id for capability in capabilities if probe.worst(capability) is not None)


class _Probe:
    """The rules under test, with what they permit of the catalogue's actions as bits."""

    def __init__(self, rules: RuleSet, scope: str) -> None:
        self.rules = rules
        self.scope = scope
        unrestricted, named = _universe().permitted(rules)
        within = _universe().namespaced if scope else _universe().all
        self.unrestricted, self.named = unrestricted & within, named & within
        taken = {name for rule in rules.rules for name in rule.names}
        self._name = "anyname"
        while self._name in taken:
            self._name += "x"

    def worst(self, capability: Capability) -> Held | None:
        return max((*self._ordinary(capability), *self._special(capability)), key=weight, default=None)

    def _ordinary(self, capability: Capability) -> Iterator[Held]:
        """Yield every way in which fixed requests tell that the rules give it."""
        permitted = self.unrestricted | self.named
        for way, needed in zip(capability.ways, _needed()[capability.id], strict=True):
            elsewhere = way.namespaces and self.scope and self.scope not in way.namespaces
            if not elsewhere and all(permitted & bits for bits in needed):
                yield self._proven(capability, way)

    def _proven(self, capability: Capability, way: Way) -> Held:
        """Prove a way to have a capability, of each of whose needs the rules permit an action."""
        proofs: list[Proof] = []
        names: list[str] = []
        limited = powerful = False
        for need in way.needs:
            action = self._permitted(need, self.unrestricted)
            if action is not None:
                proofs.append(self._proof(action, self._name))
                continue
            named = [one for one in need if self.named & _bit(one)]
            limited, allowed = True, self._names(named)
            powerful = powerful or not way.powerful.isdisjoint(allowed)
            names += allowed
            telling = next((name for name in allowed if name in way.powerful), allowed[0])
            action = next(one for one in named if self._allowing(one, telling) is not None)
            proofs.append(self._proof(action, telling))
        complete = not way.companions or self._permitted(way.companions, self.unrestricted | self.named) is not None
        only = tuple(sorted(set(names))) if limited else ()
        base = way.base or self._expanded(way.needs[0], self.named if limited else self.unrestricted)
        return Held(capability, base, tuple(proofs), only, powerful, complete, self.scope)

    def _expanded(self, need: tuple[Action, ...], bits: int) -> int:
        """Return the weight of the worst that a wildcard expands to: on that resource, or for that verb."""
        wild = [action for action in need if bits & _bit(action)]
        resources = {action[:2] for action in wild if action.verb == ANY_VERB}
        verbs = {action.verb for action in wild if action.verb != ANY_VERB}
        expanded = (action for action in _universe().listed(bits) if action[:2] in resources or action.verb in verbs)
        return max(BY_EXPANSION, *map(gravity, expanded))

    def worst_base(self) -> int:
        """Return the weight of the worst capability that fixed requests tell."""
        return max((found.base for capability in CAPABILITIES for found in self._ordinary(capability)), default=0)

    def _permitted(self, actions: Iterable[Action], bits: int) -> Action | None:
        return next((action for action in actions if bits & _bit(action)), None)

    def _names(self, actions: Iterable[Action]) -> list[str]:
        """Return the object names for which rules permit one of the actions, in the order they stand there."""
        requests = [self._request(action, self._name) for action in actions]
        return list(
            dict.fromkeys(
                name
                for rule in self.rules.rules
                if any(rule.names) and any(_for_any_name(rule).allows(request) for request in requests)
                for name in rule.names
                if name
            )
        )

    def _allowing(self, action: Action, name: str) -> int | None:
        return self.rules.allowing(self._request(action, name))

    def _request(self, action: Action, name: str) -> Request:
        group, resource, subresource, verb, namespaced = action
        if name == self._name and verb in NAMELESS_VERBS and not subresource:
            name = ""
        return Request(verb, group, resource, subresource, name, self.scope if namespaced else "")

    def _proof(self, action: Action, name: str) -> Proof:
        request = self._request(action, name)
        index, rule = next((index, rule) for index, rule in enumerate(self.rules) if rule.allows(request))
        return Proof(index, rule, request)

    def _special(self, capability: Capability) -> Iterator[Held]:
        """Yield what a fixed list of requests cannot tell, because the words are open-ended."""
        if capability.paths and not self.scope:
            for path in capability.paths:
                index = self.rules.allowing(Request("get", path=path))
                if index is not None:
                    proof = Proof(index, self.rules.rules[index], Request("get", path=path))
                    yield Held(capability, capability.base, (proof,))
        elif capability.id == "impersonate":
            yield from self._constrained_impersonation(capability)
        elif capability.id == "policy-engines":
            yield from self._constraints(capability)

    def _constrained_impersonation(self, capability: Capability) -> Iterator[Held]:
        """Yield impersonation in the modes of Kubernetes 1.36, which limit whom and for what.

        It takes `impersonate:<mode>` on the identity and `impersonate-on:<mode>:<verb>` on what is done, and weighs as
        much as what may be done (apiserver/pkg/endpoints/filters/impersonation/mode.go).
        """
        for mode, resource in MODES.items():
            action = Action(AUTHENTICATION, resource, "", f"impersonate:{mode}", resource == "serviceaccounts")
            if self.scope and not action.namespaced:
                continue
            unlimited = self._allowing(action, self._name) is not None
            name = self._name if unlimited else next(iter(self._names([action])), None)
            if name is None:
                continue
            prefix = f"{IMPERSONATE_ON}{mode}:"
            done = RuleSet(tuple(_stripped(rule, prefix) for rule in self.rules.rules))
            if next(iter(done.boxes), None) is None:
                continue
            worst = _Probe(done, self.scope).worst_base()
            proofs = (self._proof(action, name), self._impersonating(done, prefix))
            limited = () if unlimited else (name,)
            yield Held(capability, max(30, min(capability.base, worst)), proofs, limited, scope=self.scope)

    def _impersonating(self, done: RuleSet, prefix: str) -> Proof:
        box = next(iter(done.boxes))
        request = example(box, self.scope)
        return Proof(
            box.rules[0],
            self.rules.rules[box.rules[0]],
            Request(
                prefix + request.verb,
                request.group,
                request.resource,
                request.subresource,
                request.name,
                request.namespace,
                request.path,
            ),
        )

    def _constraints(self, capability: Capability) -> Iterator[Held]:
        """Yield writes on Gatekeeper's constraints, whose resources are named by whoever installed them."""
        for box in self.rules.boxes.resources:
            verbs = box.verbs & WRITES
            if CONSTRAINTS in box.groups and verbs and not box.resources.inverted and not self.scope:
                narrowed = Box(Words.of(CONSTRAINTS), box.resources, box.subresources, box.names, verbs, box.rules)
                request = example(narrowed)
                proof = Proof(box.rules[0], self.rules.rules[box.rules[0]], request)
                names = () if box.names.inverted else tuple(sorted(box.names.members - {""}))
                yield Held(capability, capability.base, (proof,), names)


def _stripped(rule: Rule, prefix: str) -> Rule:
    verbs = tuple(
        "*" if verb == "*" else verb.removeprefix(prefix)
        for verb in rule.verbs
        if verb == "*" or verb.startswith(prefix)
    )
    return Rule(verbs, rule.groups, rule.resources, rule.names, rule.urls)


def _for_any_name(rule: Rule) -> Rule:
    return Rule(rule.verbs, rule.groups, rule.resources)


def weight(one: Held) -> float:
    """Return how bad one way of having a capability is, before scope and novelty."""
    return one.base * (0.5 if one.names and not one.powerful else 1.0) * (1.0 if one.complete else 0.7)
