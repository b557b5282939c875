"""How bad it is: the permission library's score with what is known of the circumstances, or what stands in for it."""

from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus

from alerts import rbac
from alerts.detections import certificate_approved
from alerts.models import AccessVersion, AuditEvent
from alerts.services import folding, inventory
from alerts.services.investigation import creator, identities, sightings, tools
from alerts.services.investigation.acts import request_of
from alerts.services.investigation.case import Case
from alerts.services.investigation.scoring import Risk
from alerts.services.kept import event_of

_SOON = timedelta(minutes=10)
# Rules that nobody recorded may permit anything; a refused attempt is a sign, and no access.
UNKNOWN_RULES = 50
FORBIDDEN_ATTEMPT = 30
# Whoever changes a role and asks for an answer that does not show it, which no usual client does, may hide anything.
ABRIDGED = 70
REFUSED = 0.5
# What is gone gives nobody anything; that it is gone may still be a sign.
DELETED = 0.3
KNOWN_BEFORE = 0.3
TAMPERED = 60
RELEASE = 0.8
# Everything, or a way to it: to write, bind or become what one is not, by a certificate or a kubelet too
GIVES_ALL_AWAY = 90
KNOWN = 0.7
CREATED = frozenset({"cluster_role_created", "role_created", "binding_created"})
SIGNS = frozenset({"user agent", "field manager", "labels"})


def of(case: Case, rules: rbac.RuleSet | None) -> Risk:
    """Return how bad the role of a case is, who made it considered."""
    risk = _weighed(case, rules)
    if case.known_actor is None:
        return risk
    grave = risk.severity in {rbac.Severity.CRITICAL, rbac.Severity.HIGH}
    return _eased(risk, KNOWN, f"made by the known actor {case.known_actor.name}", grave=grave)


def _eased(risk: Risk, factor: float, label: str, *, grave: bool) -> Risk:
    """Return a risk less of a novelty for what speaks for its maker; what is `grave` only stands lower in its severity.

    Whoever took the maker over would be excused with it.
    """
    if any(effect.startswith("at least") for _, effect in risk.factors):
        return risk
    eased = risk.times(factor, label)
    if not grave or eased.severity == risk.severity:
        return eased
    floor = risk.severity.floor
    stays = (f"{risk.severity.value} stays {risk.severity.value}, whoever made it", f"not below {floor}")
    return replace(eased, score=floor, severity=risk.severity, factors=(*eased.factors, stays))


def _weighed(case: Case, rules: rbac.RuleSet | None) -> Risk:
    if case.alert.object is None and case.identity is not None:
        return identities.risk_of(case, case.identity)
    if case.alert.detection == certificate_approved.NAME and identities.may_be_anybody(case):
        return identities.anybody()
    if case.alert.attempted:
        return _attempt(case, rules)
    if rules is None or case.ref is None:
        return _unknown(case)
    found = _release(case, _assessed(case, rules, case.ref))
    if case.alert.detection == "role_deleted":
        return found.times(DELETED, "it was deleted, and gives nobody anything any more")
    if case.alert.detection == "default_role_tampered":
        return found.at_least(TAMPERED, "it is one that Kubernetes ships, and stays as it was changed")
    return found


def _assessed(case: Case, rules: rbac.RuleSet, ref: rbac.RoleRef) -> Risk:
    """Return how bad what the role gives is: by the alert's binding alone, or by what a change added to it."""
    earlier, role_before = _earlier(case), None
    access, before = case.access, earlier.without(ref)
    if case.binding is not None:
        access, before = _by_binding(case, case.binding, earlier)
    elif case.alert.detection not in CREATED and (role_before := case.role_before) is not None:
        before = earlier.with_(role_before)
    assessment = rbac.assess(
        rules,
        ref=ref,
        access=access,
        before=before,
        all_bindings_known=case.listed,
        circumstances=circumstances(case),
    )
    factors = tuple((factor.label, factor.effect) for factor in assessment.factors)
    found = Risk(assessment.score, assessment.severity, factors, assessment)
    worst = assessment.worst
    if worst is None or assessment.holder is not None or role_before is None:
        return found
    # Of those whom nobody holds, the library weighs no novelty.
    before_it = {held.id: held for held in rbac.held(role_before.rules)}
    if rbac.had_before(worst, before_it.get(worst.id)):
        return found.times(KNOWN_BEFORE, "it permitted the worst of that before")
    return found


def _earlier(case: Case) -> rbac.Access:
    """Return who could do what before it happened: without what events say came with it or later.

    Else two roles made at once would each give their holder what the other gave already, and neither anything new.
    """
    made = AccessVersion.objects.filter(event=case.opening, object=case.alert.object).first()
    return inventory.before(case.access, case.cluster, made.at if made else case.alert.happened_at)


def _by_binding(case: Case, binding: rbac.Binding, earlier: rbac.Access) -> tuple[rbac.Access, rbac.Access]:
    """Return the cluster in which only this binding gives the role, and the one without it or as it was before."""
    others = [each for each in case.access.bindings_of(binding.role) if each != binding]
    without = earlier.without(binding)
    try:
        was = rbac.Binding.of_manifest(case.before) if case.before else None
    except rbac.InvalidRules:
        was = None
    changed = was is not None and case.alert.detection not in CREATED
    # Whoever was bound to an aggregated role since gained that by another binding.
    role = case.access.roles.get(binding.role) if binding.role not in earlier.roles else None
    bound = without.without(*others).with_(binding, *([role] if role else []))
    return bound, without.with_(was) if changed and was else without


def _release(case: Case, found: Risk) -> Risk:
    """Weigh less what a release tool did in every sign, where its maker came as it does else.

    All of it but the address that the API server saw can be made up by whoever holds the maker's credentials, so it
    counts for little: High stays High, and what gives everything away Critical. Operators that write admission webhooks
    or read secrets are Critical too, and released as always they fold into one row with what came with them.
    """
    row = case.opening
    tool = creator.tool_of(row) if row else {}
    if row is None or not tool or any(seen["new"] for seen in sightings.of(case, row)):
        return found
    if sightings.comes_from_elsewhere(case, row):
        return found
    if {*tool["signs"], *_signs_of_role(case, row, tool["name"])} != SIGNS:
        return found
    label = f"made like a release by {tool['name']}, and nothing of it is new to its maker"
    grave = found.severity is rbac.Severity.HIGH or (found.severity is rbac.Severity.CRITICAL and _for_all(found))
    return _eased(found, RELEASE, label, grave=grave)


def _for_all(found: Risk) -> bool:
    """Tell whether what decided gives everything away, or is given to everybody."""
    worst, holder = (found.assessment.worst, found.assessment.holder) if found.assessment else (None, None)
    given_to_all = holder is not None and (holder.subject.public or holder.subject.everybody)
    return given_to_all or (worst is not None and worst.base >= GIVES_ALL_AWAY)


def _signs_of_role(case: Case, row: AuditEvent, tool: str) -> list[str]:
    """Return the signs on the role that a binding is to, if one rollout made both: charts label bindings less often."""
    if case.binding is None:
        return []
    role = case.binding.role
    made = AccessVersion.objects.filter(
        object__cluster=case.cluster,
        object__kind=role.kind,
        object__namespace=role.namespace,
        object__name=role.name,
        event__code=HTTPStatus.CREATED,
        event__username=row.username,
        event__user_agent=row.user_agent,
        at__range=(row.at - folding.LENGTH, row.ended_at),
    ).select_related("event")
    version = made.order_by("-at").first()
    mark = creator.tool_of(version.event) if version and version.event else {}
    return list(mark["signs"]) if mark.get("name") == tool else []


def _attempt(case: Case, rules: rbac.RuleSet | None) -> Risk:
    if rules is None:
        escalated = case.alert.detection == "escalation_refused"
        who = "somebody tried to give more than they hold" if escalated else "somebody without the right to tried to"
        score = UNKNOWN_RULES if escalated else FORBIDDEN_ATTEMPT
        label = f"{who}; what it would have permitted was not recorded"
        return Risk(score, rbac.Severity.of(score), ((label, str(score)),))
    assessment = rbac.assess(rules, scope=case.alert.object.namespace if case.alert.object else "")
    factors = tuple((factor.label, factor.effect) for factor in assessment.factors)
    found = Risk(assessment.score, assessment.severity, factors, assessment)
    return found.times(REFUSED, "the API server refused it")


def _unknown(case: Case) -> Risk:
    """Score a role whose rules are unknown by what it was seen to permit, and not below what is to be feared."""
    used = rbac.least(request_of(event) for event in case.through if event.succeeded)
    seen = rbac.assess(used).score if used else 0
    event = event_of(case.opening) if case.opening else None
    base, why = UNKNOWN_RULES, "its rules were not recorded"
    if event is not None and event.abridged:
        base, why = ABRIDGED, "whoever did it asked for an answer that does not show its rules"
    factors: list[tuple[str, str]] = [(f"{why}: it may permit anything", str(base))]
    if seen > base:
        factors.append(("it was used for requests that alone weigh this much", f"at least {seen}"))
    score = max(base, seen)
    return Risk(score, rbac.Severity.of(score), tuple(factors))


def circumstances(case: Case) -> rbac.Circumstances:
    """Return what is known of how the role came about."""
    row = case.opening
    assumed = (row.impersonated if row else None) or {}
    makers = {rbac.Subject.of_user(name) for name in (case.alert.actor, assumed.get("username")) if name}
    groups = {*(row.groups or () if row else ()), *(assumed.get("groups") or ())}
    return rbac.Circumstances(
        self_grant=any(
            holder.subject in makers or (holder.subject.kind == "Group" and holder.subject.name in groups)
            for holder in case.holders
            if not holder.subject.everybody
        ),
        impersonated=bool(row and row.impersonated),
        first_rbac_write=case.known_actor is None
        and len(case.past.events) >= sightings.ENOUGH
        and not creator.rbac_writes(case.past.events),
        unmanaged=_unmanaged(case, row),
        bound_within_minutes=any(bound.at - case.alert.happened_at < _SOON for bound in case.bound),
        exercised=bool(case.through),
    )


def _unmanaged(case: Case, row: AuditEvent | None) -> bool:
    """Tell whether the actor writes RBAC by a release tool otherwise, and did not this time."""
    if row is None or case.known_actor or creator.tool_of(row):
        return False
    writes = creator.rbac_writes(case.past.events)
    by_tool = [event for event in writes if tools.recognise(event.user_agent or "", (), {})]
    return len(by_tool) * 2 > len(writes)
