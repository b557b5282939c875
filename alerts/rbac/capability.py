"""What a capability is: something dangerous that permissions add up to, told by requests that prove it."""

from enum import StrEnum

import msgspec

from alerts.rbac.actions import Action
from alerts.rbac.request import Request
from alerts.rbac.rules import Rule

ANY_GROUP = "anything.example.com"
ANY_RESOURCE = "anythings"
ANY_VERB = "anyverb"
FRESH = frozenset({ANY_GROUP, ANY_RESOURCE, ANY_VERB})


class Category(StrEnum):
    """The lanes capabilities are shown in."""

    ESCALATION = "escalation"
    CREDENTIALS = "credentials"
    EXECUTION = "execution"
    INTERCEPTION = "interception"
    EVASION = "evasion"
    DESTRUCTION = "destruction"
    DISCOVERY = "discovery"
    EXPOSURE = "exposure"


class Way(msgspec.Struct, frozen=True):
    """One way to have a capability: of each of the `needs` one action must be permitted.

    `base` is its weight, 0 to 100. Without any of the `companions` it is only half of an attack, and weighs less.
    `powerful` are object names that make a grant limited to them as bad as an unlimited one. With `namespaces` it is so
    heavy only there, or for the whole cluster, which has them in it.
    """

    needs: tuple[tuple[Action, ...], ...]
    base: int
    companions: tuple[Action, ...] = ()
    powerful: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()


class Capability(msgspec.Struct, frozen=True):
    """A row of the catalogue. `number` is its place there; `base` its weight where nothing limits it.

    `techniques` are MITRE ATT&CK ids, with the ids of Microsoft's Threat Matrix for Kubernetes (MS-…) behind them.
    """

    number: int
    id: str
    title: str
    category: Category
    base: int
    techniques: tuple[str, ...]
    reason: str
    ways: tuple[Way, ...] = ()
    paths: tuple[str, ...] = ()


class Proof(msgspec.Struct, frozen=True):
    """What proves a capability: a request, and the rule (with its index) that permits it."""

    index: int
    rule: Rule
    request: Request

    def kubectl(self, user: str = "", groups: tuple[str, ...] = ()) -> str:
        """Return the command that asks the cluster to confirm it."""
        return self.request.kubectl(user, groups)


class Held(msgspec.Struct, frozen=True):
    """A capability that rules give. `base` is the weight of the worst way to have it.

    `names` are () for objects of any name, or the only names it is limited to; `powerful` says that these are as bad as
    any. `complete` is False where a companion permission is missing. `scope` is "" for the whole cluster.
    """

    capability: Capability
    base: int
    proofs: tuple[Proof, ...] = ()
    names: tuple[str, ...] = ()
    powerful: bool = False
    complete: bool = True
    scope: str = ""
    note: str = ""

    @property
    def id(self) -> str:
        """The id of the capability."""
        return self.capability.id

    @property
    def title(self) -> str:
        """The capability in plain words, with the names or the namespace it is limited to."""
        limits = []
        if self.names:
            limits.append(
                "only "
                + ", ".join(self.names[:3])
                + (f" and {len(self.names) - 3} more" if len(self.names) > 3 else "")
            )
        if self.scope:
            limits.append(f"in {self.scope}")
        return f"{self.capability.title} ({'; '.join(limits)})" if limits else self.capability.title
