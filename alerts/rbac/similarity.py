"""Which roles are like a role, what only each has, and the smallest default role that would do."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property

from alerts.rbac.actions import Universe, known
from alerts.rbac.capabilities import given, held
from alerts.rbac.comparison import Comparison, Part, compare
from alerts.rbac.coverage import covers
from alerts.rbac.defaults import default_roles
from alerts.rbac.difference import TooMuchWork
from alerts.rbac.rules import Rules, RuleSet, parse
from alerts.rbac.weights import classes

FOR_PEOPLE = frozenset({"view", "edit", "admin"})


@dataclass(frozen=True)
class Peer[Key: Hashable]:
    """A role that is like another.

    `similarity` is from 0 to 1: what both permit by weight, of what either permits. `contained` is how much of the role
    the peer holds too; `used` how much of the peer the role holds.
    """

    key: Key
    similarity: float
    contained: float
    used: float
    rules: RuleSet
    role: RuleSet

    @cached_property
    def comparison(self) -> Comparison:
        """From the peer to the role: gains are only here, losses only there."""
        return compare(self.rules, self.role)

    @property
    def only_here(self) -> tuple[Part, ...]:
        """What the role permits and the peer does not."""
        return self.comparison.gains

    @property
    def only_there(self) -> tuple[Part, ...]:
        """What the peer permits and the role does not."""
        return self.comparison.losses


@dataclass(frozen=True)
class Fit:
    """A default role that holds everything a role permits, and how much of it (0 to 1, by weight) the role uses."""

    name: str
    used: float


class Scale:
    """Weighs sets of actions: sums of weights over bits, by class of equal weight."""

    def __init__(self, universe: Universe) -> None:
        self.universe = universe
        self._classes = classes(universe)

    def bits(self, rules: RuleSet) -> int:
        """Return the actions that rules permit, on objects of any name or of some."""
        unrestricted, named = self.universe.permitted(rules)
        return unrestricted | named

    def total(self, bits: int) -> int:
        """Return the sum of the weights of some actions."""
        return sum(weight * (bits & mask).bit_count() for weight, mask in self._classes)


@cache
def _scale() -> Scale:
    return Scale(known())


def similar[Key: Hashable](
    rules: Rules, peers: Mapping[Key, Rules], *, limit: int = 3, scale: Scale | None = None
) -> tuple[Peer[Key], ...]:
    """Return the peers most like a role, the likest first; those with nothing in common are left out.

    Likeness is over the actions that exist, each weighed by how dangerous it is. Leave the role itself and its earlier
    versions out of `peers`. Of peers that permit the same actions only one is kept, rather not one of Kubernetes' own.
    """
    scale = _scale() if scale is None else scale
    role = parse(rules)
    mine = scale.bits(role)
    weight = scale.total(mine)
    ranked: dict[int, tuple[float, int, int, Key, RuleSet]] = {}
    for key, peer in peers.items():
        parsed = parse(peer)
        bits = scale.bits(parsed)
        shared = scale.total(mine & bits)
        if shared and (bits not in ranked or _own(ranked[bits][3])):
            total = scale.total(bits)
            ranked[bits] = (shared / (weight + total - shared), shared, total, key, parsed)
    best = sorted(ranked.values(), key=lambda one: one[0], reverse=True)[:limit]
    return tuple(
        Peer(key, likeness, shared / weight, shared / total, peer, role) for likeness, shared, total, key, peer in best
    )


def _own(key: Hashable) -> bool:
    return "system:" in str(key)


def smallest_default(rules: Rules) -> Fit | None:
    """Return the smallest default role that permits everything the rules do, or None if not even cluster-admin does.

    The roles made for people (view, edit, admin) come before those of the control plane, and cluster-admin last. Exact
    in the open world: what covers today's actions but not tomorrow's does not count.
    """
    role, scale = parse(rules), _scale()
    mine = scale.total(scale.bits(role))
    fits = []
    for name, default in default_roles().items():
        try:
            fitting = covers(default.rules, role)
        except TooMuchWork:
            return None
        if fitting:
            rank = 0 if name in FOR_PEOPLE else 2 if name == "cluster-admin" else 1
            fits.append((rank, scale.total(scale.bits(default.rules)), len(default.rules.boxes), name))
    if not fits:
        return None
    _, total, _, name = min(fits)
    return Fit(name, mine / total if total else 0.0)


def rare[Key: Hashable](rules: Rules, peers: Mapping[Key, Rules]) -> tuple[str, ...]:
    """Return what the role is capable of and no peer is, as sentences.

    Leave default roles and the role itself out of `peers`.
    """
    left = [one.capability for one in held(rules)]
    for peer in peers.values():
        # What somebody else has is looked for no further.
        found = given(peer, left) if left else ()
        left = [capability for capability in left if capability.id not in found]
    among = f"none of {len(peers)} other roles here is capable of it" if peers else "there are no other roles here"
    return tuple(f"{capability.title}: {among}" for capability in left)
