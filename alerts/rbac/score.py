"""How bad a role is, from 0 to 100, with every factor that made the number."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache

from msgspec.structs import replace

from alerts.rbac.access import GRAVE, Access, Holder
from alerts.rbac.capabilities import held
from alerts.rbac.capability import Held
from alerts.rbac.conditions import conditions
from alerts.rbac.coverage import covers
from alerts.rbac.defaults import default_roles
from alerts.rbac.difference import TooMuchWork
from alerts.rbac.gains import NetNew, net_new
from alerts.rbac.objects import Role, RoleRef
from alerts.rbac.rules import Rules, RuleSet, parse

HARMLESS = 10
PUBLIC_ROLES = (
    "system:public-info-viewer",
    "system:openshift:public-info-viewer",
    "system:service-account-issuer-discovery",
    "system:discovery",
    "system:basic-user",
)


class Severity(StrEnum):
    """A score in a word."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def floor(self) -> int:
        """The lowest score that has this word."""
        return {"critical": 85, "high": 60, "medium": 30, "low": 0}[self.value]

    @classmethod
    def of(cls, score: int) -> "Severity":
        """Return the word for a score."""
        return next((severity for severity in cls if score >= severity.floor), cls.LOW)


@dataclass(frozen=True)
class Factor:
    """One thing that made the score. `effect` is how, as people read it (`95`, `× 0.6`, `+ 10`, `at least 80`)."""

    label: str
    effect: str
    value: float


@dataclass(frozen=True)
class Circumstances:
    """What is known of how a role came about, for points on top. All of it is False where it is not known."""

    self_grant: bool = False
    impersonated: bool = False
    first_rbac_write: bool = False
    unmanaged: bool = False
    bound_within_minutes: bool = False
    exercised: bool = False


CIRCUMSTANCES = {
    "self_grant": ("its maker is among those who hold it", 10),
    "impersonated": ("it was made while impersonating somebody", 10),
    "first_rbac_write": ("its maker never wrote permissions before", 10),
    "unmanaged": ("others like it are kept by a release tool, this one is not", 5),
    "bound_within_minutes": ("it was bound within minutes of being created", 5),
    "exercised": ("it has been used already", 5),
}


@dataclass(frozen=True)
class Assessment:
    """A score, its severity, the factors that multiply and add up to it in order, and what it rests on.

    `worst` is the capability that decided, `holder` who holds it in the worst way; None where there is none.
    """

    score: int
    severity: Severity
    factors: tuple[Factor, ...]
    capabilities: tuple[Held, ...] = ()
    conditions: tuple[Held, ...] = ()
    worst: Held | None = None
    holder: Holder | None = None
    net_new: tuple[NetNew, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class _Case:
    """One capability in the hands of one holder, with the factors that weigh it."""

    base: int
    label: str
    held: Held | None
    holder: Holder | None
    factors: tuple[Factor, ...]

    @property
    def weight(self) -> float:
        weight = float(self.base)
        for factor in self.factors:
            weight *= factor.value
        return weight


def assess(
    rules: Rules,
    *,
    ref: RoleRef | None = None,
    access: Access | None = None,
    before: Access | None = None,
    scope: str = "",
    all_bindings_known: bool = True,
    circumstances: Circumstances = Circumstances(),
) -> Assessment:
    """Score a set of rules.

    With `ref` and `access` it is scored as it is bound there, and what is new to its holders weighs more; `before` is
    the cluster to which things are new, by default the same without the role. Without them it is scored as if bound to
    somebody who had nothing, for the whole cluster or in the namespace `scope`.
    Where not `all_bindings_known`, somebody may hold an aggregated role that it feeds.
    The score is that of the worst capability, never a sum, times scope, names and novelty; then come points for
    circumstances. Raises InvalidRules.
    """
    permitted = parse(rules)
    capabilities = held(permitted, scope)
    found: tuple[Held, ...] = ()
    gained: tuple[NetNew, ...] = ()
    if ref is None or access is None:
        as_if = (
            _scope(scope, frozenset({"kube-system"})),
            Factor("as if bound to somebody who had nothing", "× 1", 1.0),
        )
        cases = [_harmless(permitted, None, as_if), *(_case(one, None, as_if) for one in capabilities)]
    else:
        found = conditions(access, ref)
        gained = net_new(access, ref, before=before)
        capabilities = _union(capabilities, gained)
        cases = list(_bound_cases(permitted, gained, ref, access)) or list(
            _latent_cases(permitted, capabilities, ref, access, all_bindings_known=all_bindings_known)
        )
    worst = max(cases, key=lambda case: (case.weight, case.held is not None))
    role = access.roles.get(ref) if access is not None and ref is not None else None
    points = [*_points(circumstances), *_suspicions(role, capabilities)]
    factors = [Factor(worst.label, str(worst.base), float(worst.base)), *worst.factors]
    alike = _alike(permitted, ref)
    if alike and worst.held is not None:
        factors.append(Factor(f"permits just what Kubernetes' own {alike} does", "× 0.7", 0.7))
    score = worst.weight * (0.7 if alike and worst.held is not None else 1.0)
    if worst.held is not None or not permitted or found:
        score += sum(point.value for point in points)
        factors += points
    floors = list(_floors(permitted, gained, found))
    score = max(score, *(floor.value for floor in floors)) if floors else score
    whole = min(100, max(0, round(score)))
    return Assessment(
        whole, Severity.of(whole), (*factors, *floors), capabilities, found, worst.held, worst.holder, gained
    )


def _case(one: Held, holder: Holder | None, factors: Iterable[Factor]) -> _Case:
    names = [Factor(one.note, "× 1", 1.0)] if one.note else []
    if one.names and not one.powerful:
        names.append(Factor("only objects named " + ", ".join(one.names[:3]), "× 0.5", 0.5))
    if not one.complete:
        names.append(Factor("these rules cannot write the object that it needs", "× 0.7", 0.7))
    return _Case(one.base, one.capability.title, one, holder, (*factors, *names))


def _harmless(rules: RuleSet, holder: Holder | None, factors: tuple[Factor, ...]) -> _Case:
    if rules:
        return _Case(HARMLESS, "nothing on the list of dangerous capabilities", None, holder, factors)
    return _Case(0, "permits nothing", None, holder, factors)


def _bound_cases(rules: RuleSet, gained: tuple[NetNew, ...], ref: RoleRef, access: Access) -> Iterator[_Case]:
    sensitive = access.privileged_namespaces if any(one.scope for one in gained) else frozenset()
    for one in _unlike(gained):
        factors = [_scope(one.scope, sensitive), *_reach(one)]
        yield _harmless(rules, one.holder, tuple(factors))
        new = set(one.new)
        for capability in one.capabilities:
            novelty = [] if capability in new else [Factor(f"{one.subject} could do this already", "× 0.3", 0.3)]
            yield _case(_as_held(capability, ref, one.holder), one.holder, (*factors, *novelty))


def _as_held(one: Held, ref: RoleRef, holder: Holder) -> Held:
    """Return a capability as powerful where it is to write anything into a role that its holder has."""
    theirs = {ref.name, holder.binding.role.name, *PUBLIC_ROLES}
    return replace(one, powerful=True) if one.id == "escalate" and not theirs.isdisjoint(one.names) else one


def _unlike(gained: tuple[NetNew, ...]) -> Iterable[NetNew]:
    """Return of the holders for whom it weighs the same the first one: thousands may stand in the way of a worse one.

    What a role gives is the same in one scope, so what is new of it is told by its ids.
    """
    unlike: dict[tuple[object, ...], NetNew] = {}
    for one in gained:
        new = tuple(each.id for each in one.new)
        unlike.setdefault((one.scope, one.subject.public, one.subject.everybody, new), one)
    return unlike.values()


def _scope(scope: str, sensitive: frozenset[str]) -> Factor:
    if not scope:
        return Factor("in the whole cluster", "× 1", 1.0)
    if scope in sensitive:
        return Factor(f"in {scope}, where powerful service accounts live", "× 0.9", 0.9)
    return Factor(f"in one namespace, {scope}", "× 0.6", 0.6)


def _reach(one: NetNew) -> Iterator[Factor]:
    if one.subject.public:
        yield Factor("anybody can use it without log-in", "× 2", 2.0)
    elif one.subject.everybody:
        yield Factor("everybody who can log in has it", "× 1.5", 1.5)


def _latent_cases(
    rules: RuleSet, capabilities: tuple[Held, ...], ref: RoleRef, access: Access, *, all_bindings_known: bool
) -> Iterator[_Case]:
    targets = access.aggregates(ref)
    fed = ", ".join(target.name for target in targets)
    latent = Factor("nobody is bound to it", "× 0.35", 0.35)
    if targets and all_bindings_known:
        latent = Factor(f"feeds {fed}, to which nobody is bound", "× 0.5", 0.5)
    elif targets:
        latent = Factor(f"feeds {fed}, and who holds that is not known", "× 1", 1.0)
    yield _harmless(rules, None, (latent,))
    for one in capabilities:
        yield _case(one, None, (latent,))


def _union(capabilities: tuple[Held, ...], gained: tuple[NetNew, ...]) -> tuple[Held, ...]:
    """Return the capabilities as the bindings let them count: with a scope where all are in namespaces."""
    best: dict[str, Held] = {}
    if not gained or any(not one.scope for one in gained):
        completed = {each.id: each for one in gained for each in one.capabilities if each.note}
        best = {one.id: one for one in capabilities} | completed
        gained = ()
    for one in gained:
        for capability in one.capabilities:
            best.setdefault(capability.id, capability)
    return tuple(sorted(best.values(), key=lambda one: (-one.base, one.capability.number)))


def _points(circumstances: Circumstances) -> Iterator[Factor]:
    for attribute, (label, points) in CIRCUMSTANCES.items():
        if getattr(circumstances, attribute):
            yield Factor(label, f"+ {points}", points)


def _suspicions(role: Role | None, capabilities: tuple[Held, ...]) -> Iterator[Factor]:
    """Yield points for what the object itself shows."""
    if role is not None and not role.default and role.ref.name not in default_roles():
        if role.ref.name.startswith("system:"):
            yield Factor("its name imitates Kubernetes' own roles", "+ 10", 10)
        if role.finalizers:
            yield Factor("a finalizer keeps it alive after it is deleted", "+ 5", 5)
    if role is not None and role.opted_out:
        yield Factor("it is exempt from being restored to how Kubernetes ships it", "+ 10", 10)
    ids = {one.id for one in capabilities}
    if ids & {"everything", "every-resource"}:
        yield Factor("a wildcard holds APIs that do not exist yet", "+ 5", 5)
    if ids & {"issue-tokens", "approve-certificates", "sign-certificates"}:
        yield Factor("tokens or certificates made with it outlive a revoke", "+ 5", 5)


def _floors(rules: RuleSet, gained: tuple[NetNew, ...], found: tuple[Held, ...]) -> Iterator[Factor]:
    if any(one.subject.public for one in gained) and not covers(_public(), rules):
        yield Factor("open to everybody without log-in", "at least 80", 80)
    for one in found:
        if one.id in {"masters", "default-changed", "dangling"}:
            yield Factor(one.capability.title, f"at least {one.base}", one.base)


def _public() -> RuleSet:
    everything = RuleSet()
    for name in PUBLIC_ROLES:
        everything += default_roles()[name].rules
    return everything


@cache
def _mild() -> Mapping[str, Role]:
    """Return the default roles that are capable of nothing grave."""
    return {name: role for name, role in default_roles().items() if all(one.base < GRAVE for one in held(role.rules))}


def _alike(rules: RuleSet, ref: RoleRef | None) -> str:
    """Return the name of a harmless default role that permits exactly the same, "" if there is none."""
    if not rules or (ref is not None and ref.kind == "ClusterRole" and ref.name in default_roles()):
        return ""
    for name, role in _mild().items():
        try:
            if covers(role.rules, rules) and covers(rules, role.rules):
                return name
        except TooMuchWork:
            return ""
    return ""
