"""The actions a cluster offers: those discovery lists, and the virtual verbs and resources that it never lists."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple, Self

from alerts.rbac.boxes import Box
from alerts.rbac.rules import Rule, RuleSet
from alerts.rbac.words import NAMELESS, Words

NAMELESS_VERBS = frozenset({"list", "watch", "create", "deletecollection"})


class Action(NamedTuple):
    """One verb on one kind of object or subresource, as the API server authorises it."""

    group: str
    resource: str
    subresource: str
    verb: str
    namespaced: bool

    @property
    def written(self) -> str:
        """The resource as a rule writes it: `pods/log`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


# Checked by Kubernetes but listed by no discovery: escalate and bind in pkg/registry/rbac; impersonate and, since 1.36,
# its constrained forms in the apiserver's filters/impersonation/mode.go; approve, sign and attest in
# pkg/certauthorization and plugin/pkg/admission/certificates; what nodes have below them in pkg/kubelet/server/auth.go;
# use is of the late PodSecurityPolicy.
RBAC_GROUP = "rbac.authorization.k8s.io"
AUTHENTICATION = "authentication.k8s.io"
CERTIFICATES = "certificates.k8s.io"
CLUSTER, NAMESPACED = False, True
VIRTUAL = (
    *(Action(RBAC_GROUP, "clusterroles", "", verb, CLUSTER) for verb in ("bind", "escalate")),
    *(Action(RBAC_GROUP, "roles", "", verb, NAMESPACED) for verb in ("bind", "escalate")),
    *(Action("", resource, "", "impersonate", CLUSTER) for resource in ("groups", "users")),
    Action("", "serviceaccounts", "", "impersonate", NAMESPACED),
    *(
        Action(AUTHENTICATION, resource, "", verb, CLUSTER)
        for resource, verb in (
            ("uids", "impersonate"),
            ("userextras", "impersonate"),
            ("users", "impersonate:user-info"),
            ("groups", "impersonate:user-info"),
            ("uids", "impersonate:user-info"),
            ("userextras", "impersonate:user-info"),
            ("nodes", "impersonate:arbitrary-node"),
            ("nodes", "impersonate:associated-node"),
        )
    ),
    Action(AUTHENTICATION, "serviceaccounts", "", "impersonate:serviceaccount", NAMESPACED),
    *(Action(CERTIFICATES, "signers", "", verb, CLUSTER) for verb in ("approve", "attest", "sign")),
    *(
        Action(CERTIFICATES, "certificatesigningrequests", subresource, "create", CLUSTER)
        for subresource in ("nodeclient", "selfnodeclient", "selfnodeserver")
    ),
    *(
        Action("", "nodes", subresource, "get", CLUSTER)
        for subresource in ("configz", "healthz", "log", "metrics", "pods", "stats", "statusz")
    ),
    Action("", "nodes", "checkpoint", "create", CLUSTER),
    Action("policy", "podsecuritypolicies", "", "use", NAMESPACED),
)


class Universe:
    """A finite list of actions, and which of them rules permit, as bits of an integer (bit i is action i).

    Sets of actions as integers make comparing thousands of roles a matter of milliseconds.
    """

    def __init__(self, actions: Iterable[Action], *, fresh: Iterable[str] = ()) -> None:
        """List the actions. A `fresh` word stands for what does not exist yet: only a star permits it."""
        self.actions = tuple(actions)
        self.all = (1 << len(self.actions)) - 1
        self._fresh = frozenset(fresh)
        self.verbs = self._index(lambda action: action.verb)
        self.groups = self._index(lambda action: action.group)
        self.written = self._index(lambda action: action.written)
        self.resources = self._index(lambda action: action.resource)
        self.subresources = self._index(lambda action: action.subresource)
        self.namespaced = self._mask(lambda action: action.namespaced)
        # Requests of these name no object, so a rule for the name "" permits them.
        self.nameless = self._mask(lambda action: action.verb in NAMELESS_VERBS and not action.subresource)
        # These can never carry a name, so a rule for real names permits none of them. (list and watch can: a field
        # selector on metadata.name counts as the name.)
        self.unnameable = self._mask(
            lambda action: action.verb in {"create", "deletecollection"} and not action.subresource
        )

    @classmethod
    def of_resources(cls, resources: Iterable[Mapping[str, Any]], virtual: Iterable[Action] = VIRTUAL) -> Self:
        """Return the actions of a cluster's discovery.

        `resources` are mappings of group, resource, subresource ("" if none), namespaced and verbs.
        """
        listed = (
            Action(row["group"], row["resource"], row["subresource"], verb, row["namespaced"])
            for row in resources
            for verb in row["verbs"]
        )
        return cls(dict.fromkeys((*listed, *virtual)))

    def _index(self, key: Callable[[Action], str]) -> dict[str, int]:
        masks: defaultdict[str, int] = defaultdict(int)
        for bit, action in enumerate(self.actions):
            masks[key(action)] |= 1 << bit
        return {word: mask for word, mask in masks.items() if word not in self._fresh}

    def _mask(self, question: Callable[[Action], bool]) -> int:
        return sum(1 << bit for bit, action in enumerate(self.actions) if question(action))

    def listed(self, bits: int) -> Iterator[Action]:
        """Yield the actions of the bits, in order."""
        while bits:
            lowest = bits & -bits
            yield self.actions[lowest.bit_length() - 1]
            bits ^= lowest

    def permitted(self, rules: RuleSet) -> tuple[int, int]:
        """Return the actions the rules permit on objects of any name, and those they permit on named objects only."""
        unrestricted = named = 0
        for rule in rules.rules:
            bits = self._bits(rule)
            if not rule.names:
                unrestricted |= bits
                continue
            if "" in rule.names:
                unrestricted |= bits & self.nameless
            if any(rule.names):
                named |= bits & ~self.unnameable
        return unrestricted, named & ~unrestricted

    def _bits(self, rule: Rule) -> int:
        verbs = self._union(self.verbs, rule.verbs)
        if not verbs:
            return 0
        groups = self._union(self.groups, rule.groups)
        if "*" in rule.resources:
            return verbs & groups
        found = 0
        for written in rule.resources:
            found |= self.written.get(written, 0)
            if written.startswith("*/"):
                found |= self.subresources.get(written[2:], 0) if len(written) > 2 else 0
        return verbs & groups & found

    def _union(self, masks: Mapping[str, int], values: Iterable[str]) -> int:
        found = 0
        for value in values:
            if value == "*":
                return self.all
            found |= masks.get(value, 0)
        return found

    def within(self, box: Box) -> int:
        """Return the actions that have at least one request in the box."""
        bits = self._of(self.resources, box.resources) & self._of(self.groups, box.groups)
        bits &= self._of(self.verbs, box.verbs) & self._of(self.subresources, box.subresources)
        if not box.names.inverted and "" not in box.names:
            bits &= ~self.unnameable
        elif not box.names.inverted and box.names == NAMELESS:
            bits &= self.nameless
        elif box.names.inverted and "" not in box.names:
            bits &= ~self.unnameable
        return bits

    def _of(self, masks: Mapping[str, int], words: Words) -> int:
        found = 0
        for word in words.members:
            found |= masks.get(word, 0)
        return self.all & ~found if words.inverted else found


@cache
def known() -> Universe:
    """Return the actions of Kubernetes 1.36 as its own API server lists them, and the virtual ones."""
    table = json.loads(files("alerts.rbac").joinpath("data/actions-1.36.json").read_text(encoding="utf-8"))
    return Universe.of_resources(table["resources"])
