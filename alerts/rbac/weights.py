"""How much an action matters, by the catalogue of capabilities: to rank rows and to weigh likeness."""

from collections import defaultdict
from functools import cache

from alerts.rbac.actions import Action, Universe
from alerts.rbac.catalogue import CAPABILITIES


@cache
def _bases() -> dict[tuple[str, str, str, str], int]:
    bases: defaultdict[tuple[str, str, str, str], int] = defaultdict(int)
    for capability in CAPABILITIES:
        for way in capability.ways:
            for need in way.needs:
                for action in need:
                    # One of several needs is not the capability yet.
                    base = way.base if len(way.needs) == 1 else way.base // 2
                    bases[action[:4]] = max(bases[action[:4]], base)
    return dict(bases)


def gravity(action: Action) -> int:
    """Return the weight of the worst capability that the action proves, 0 for an ordinary one."""
    return _bases().get(action[:4], 0)


def weight(action: Action) -> int:
    """Return how much an action counts in likeness: 1 for an ordinary one, 20 for escalate, 18 for reading secrets."""
    return 1 + gravity(action) // 5


def classes(universe: Universe) -> tuple[tuple[int, int], ...]:
    """Return the universe's actions by weight: pairs of a weight and the bits of its actions."""
    masks: defaultdict[int, int] = defaultdict(int)
    for bit, action in enumerate(universe.actions):
        masks[weight(action)] |= 1 << bit
    return tuple(sorted(masks.items()))
