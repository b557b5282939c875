"""Who gains what by a role: what it gives each of its holders that they did not have without it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from alerts.rbac.access import Access, Holder
from alerts.rbac.capabilities import held, weight, worst_first
from alerts.rbac.capability import Held
from alerts.rbac.comparison import Part, parts
from alerts.rbac.difference import Boxes, TooMuchWork, subtract
from alerts.rbac.objects import RoleRef
from alerts.rbac.rules import Rule, RuleSet
from alerts.rbac.subjects import Subject

COMPLETED = "together with what the holder has by other roles"
NOBODY: Mapping[Subject, Iterable[str]] = {}


@dataclass(frozen=True)
class NetNew:
    """What one holder of a role gains by it, at the scope of the binding.

    `gains` are pieces of the role (their rule indexes are the role's) that the holder's other grants did not permit.
    `capabilities` are those the role gives, alone or together with what the holder had; `new` are those among them that
    the holder did not have at that scope.
    `cut_off` is "" or says why `gains` is not worked out.
    """

    holder: Holder
    gains: tuple[Part, ...]
    capabilities: tuple[Held, ...]
    new: tuple[Held, ...]
    had_nothing: bool
    cut_off: str = ""

    @property
    def subject(self) -> Subject:
        """Who gains."""
        return self.holder.subject

    @property
    def scope(self) -> str:
        """Where: a namespace, or "" for everywhere."""
        return self.holder.scope


def net_new(
    access: Access,
    ref: RoleRef,
    *,
    before: Access | None = None,
    groups: Mapping[Subject, Iterable[str]] = NOBODY,
) -> tuple[NetNew, ...]:
    """Return what each holder of a role gains by it, the gravest first: anybody, everybody, and then who gains most.

    `before` is the cluster to compare with: by default the same without the role; give the one with its earlier version
    to see what a change gave. `groups` are further groups that subjects are known to be in.
    """
    earlier = access.without(ref) if before is None else before
    rules = access.rules(ref)
    known: dict[tuple[str, frozenset[Rule]], _Gain] = {}
    gained = []
    for holder in access.holders(ref):
        had = earlier.effective(holder.subject, holder.scope, groups.get(holder.subject, ())).rules
        # Many holders had the same before, most often nothing.
        key = (holder.scope, frozenset(had.rules))
        if key not in known:
            known[key] = _gain(rules, had, holder.scope)
        gains, capabilities, new, cut_off = known[key]
        gained.append(NetNew(holder, gains, capabilities, new, had_nothing=not had, cut_off=cut_off))
    return tuple(sorted(gained, key=_gravity, reverse=True))


def _gravity(one: NetNew) -> tuple[bool, bool, int, bool, bool]:
    """Return how grave a gain is, whoever else is named before it: a binding may name thousands."""
    worst = max((each.base for each in one.new), default=0)
    return one.subject.public, one.subject.everybody, worst, not one.scope, one.subject.kind == "Group"


type _Gain = tuple[tuple[Part, ...], tuple[Held, ...], tuple[Held, ...], str]


def _gain(rules: RuleSet, had: RuleSet, scope: str) -> _Gain:
    before = {one.id: one for one in held(had, scope)}
    capabilities = _together(rules, had, before, scope)
    new = tuple(one for one in capabilities if not had_before(one, before.get(one.id)))
    boxes = Boxes(rules.boxes.resources) if scope else rules.boxes
    try:
        return parts(subtract(boxes, had.boxes)), capabilities, new, ""
    except TooMuchWork as too_much:
        return (), capabilities, new, str(too_much)


def _together(rules: RuleSet, had: RuleSet, before: Mapping[str, Held], scope: str) -> tuple[Held, ...]:
    """Return what rules give, worst first, and what they complete: an attack that takes several permissions.

    Else it could be given in halves, each of which is nothing.
    """
    alone = {one.id: one for one in held(rules, scope)}
    if not rules or not had:
        return tuple(alone.values())
    for one in held(rules + had, scope):
        apart = (each for each in (alone.get(one.id), before.get(one.id)) if each is not None)
        if weight(one) > max(map(weight, apart), default=0):
            # What the proofs say of other roles' rules would be read as this one's.
            own = tuple(proof for proof in one.proofs if proof.index < len(rules))
            alone[one.id] = replace(one, proofs=own, note=COMPLETED)
    return worst_first(alone.values())


def had_before(one: Held, before: Held | None) -> bool:
    """Tell whether what was held of a capability before is no less than one that is held now, names considered."""
    if before is None or before.base < one.base:
        return False
    whole = before.complete or not one.complete
    return whole and (not before.names or (bool(one.names) and set(one.names) <= set(before.names)))
