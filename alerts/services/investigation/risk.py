"""How bad it is: the permission library's score with what is known of the circumstances, or what stands in for it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from alerts import rbac
from alerts.models import AuditEvent
from alerts.services.investigation import creator, sightings, tools
from alerts.services.investigation.acts import request_of
from alerts.services.investigation.case import Case

_SOON = timedelta(minutes=10)
# Rules that nobody recorded may permit anything; a refused attempt is a sign, and no access.
UNKNOWN_RULES = 50
FORBIDDEN_ATTEMPT = 30
REFUSED = 0.5
RELEASE = 0.8
SIGNS = frozenset({"user agent", "field manager", "labels"})


@dataclass(frozen=True)
class Risk:
    """A score with its severity and every factor; `assessment` is None where the rules are unknown."""

    score: int
    severity: rbac.Severity
    factors: tuple[tuple[str, str], ...]
    assessment: rbac.Assessment | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {"score": self.score, "severity": self.severity.value, "factors": [list(pair) for pair in self.factors]}


def of(case: Case, rules: rbac.RuleSet | None) -> Risk:
    """Return how bad the role of a case is."""
    if case.alert.attempted:
        return _attempt(rules)
    if rules is None or case.ref is None:
        return _unknown(case)
    assessment = rbac.assess(rules, ref=case.ref, access=case.access, circumstances=circumstances(case))
    factors = tuple((factor.label, factor.effect) for factor in assessment.factors)
    release = _release(case)
    if not release or any(effect.startswith("at least") for _, effect in factors):
        return Risk(assessment.score, assessment.severity, factors, assessment)
    score = round(assessment.score * RELEASE)
    mild = (f"made like a release by {release}, and nothing of it is new to its maker", f"× {RELEASE}")
    return Risk(score, rbac.Severity.of(score), (*factors, mild), assessment)


def _release(case: Case) -> str:
    """Return the release tool that every sign speaks for, where the maker came as it does else; "" for none.

    All of it can be made up by whoever holds the maker's credentials, so it counts for little: what permits everything
    stays grave.
    """
    row = case.opening
    tool = creator.tool_of(row) if row else {}
    if row is None or set(tool.get("signs", ())) != SIGNS or any(seen["new"] for seen in sightings.of(case, row)):
        return ""
    return str(tool["name"])


def _attempt(rules: rbac.RuleSet | None) -> Risk:
    if rules is None:
        label = "somebody without the right to create roles tried to; what it would have permitted was not recorded"
        return Risk(FORBIDDEN_ATTEMPT, rbac.Severity.of(FORBIDDEN_ATTEMPT), ((label, str(FORBIDDEN_ATTEMPT)),))
    assessment = rbac.assess(rules)
    score = round(assessment.score * REFUSED)
    factors = tuple((factor.label, factor.effect) for factor in assessment.factors)
    refused = ("the API server refused it", f"× {REFUSED}")
    return Risk(score, rbac.Severity.of(score), (*factors, refused), assessment)


def _unknown(case: Case) -> Risk:
    """Score a role whose rules are unknown by what it was seen to permit, and not below what is to be feared."""
    used = rbac.least(request_of(event) for event in case.through if event.succeeded)
    seen = rbac.assess(used).score if used else 0
    factors: list[tuple[str, str]] = [("its rules were not recorded: it may permit anything", str(UNKNOWN_RULES))]
    if seen > UNKNOWN_RULES:
        factors.append(("it was used for requests that alone weigh this much", f"at least {seen}"))
    score = max(UNKNOWN_RULES, seen)
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
        first_rbac_write=len(case.past.events) >= sightings.ENOUGH and not creator.rbac_writes(case.past.events),
        unmanaged=_unmanaged(case, row),
        bound_within_minutes=any(bound.at - case.alert.happened_at < _SOON for bound in case.bound),
        exercised=bool(case.through),
    )


def _unmanaged(case: Case, row: AuditEvent | None) -> bool:
    """Tell whether the actor writes RBAC by a release tool otherwise, and did not this time."""
    if row is None or creator.tool_of(row):
        return False
    writes = creator.rbac_writes(case.past.events)
    by_tool = [event for event in writes if tools.recognise(event.user_agent or "", (), {})]
    return len(by_tool) * 2 > len(writes)
