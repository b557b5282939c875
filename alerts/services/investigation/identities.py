"""How bad it is that somebody's power was taken or handed out: by a token, a certificate, or by impersonation."""

from alerts import rbac
from alerts.detections import Identity, certificate_approved
from alerts.detections.identity import node_rules
from alerts.rbac.subjects import MASTERS
from alerts.services.investigation.case import Case
from alerts.services.investigation.scoring import Risk
from alerts.services.kept import event_of

_UNKNOWN = 50
# Whoever makes a certificate for an administrator may see to it that nobody can tell.
_ANYBODY = 70
_NOTHING = 5
_REFUSED = 0.5
_KNOWN_BEFORE = 0.3
_NODE = 0.5
# Nobody can recall it while it lasts.
_LASTING = 10


def may_be_anybody(case: Case) -> bool:
    """Tell whether it is a certificate to log in with of which nobody knows whom it names."""
    event = event_of(case.opening) if case.opening else None
    return event is not None and certificate_approved.may_name_anybody(event)


def anybody() -> Risk:
    """Return how bad it is that a certificate may name anybody."""
    label = "whom the certificate names is not known: it may be anybody"
    return Risk(_ANYBODY, rbac.Severity.of(_ANYBODY), ((label, str(_ANYBODY)),))


def rules_of(case: Case, identity: Identity) -> rbac.RuleSet | None:
    """Return everything that somebody may do, wherever it counts; None where that is unknown."""
    rules = rbac.RuleSet(tuple(rule for _, held in identity.permissions(case.now) for rule in held.rules))
    return rules if rules or case.listed else None


def risk_of(case: Case, identity: Identity) -> Risk:
    """Return how bad it is: by the worst that the identity may do and the alert's actor may not."""
    found = _worst(case, identity)
    if case.alert.attempted:
        return found.times(_REFUSED, "the API server refused it")
    if found.assessment is not None and _held_already(case, identity):
        found = found.times(_KNOWN_BEFORE, "whoever did it may do all of this without")
    if case.alert.detection == "certificate_approved":
        return found.plus(_LASTING, "a certificate outlives every revoke")
    return found


def _worst(case: Case, identity: Identity) -> Risk:
    if rules_of(case, identity) is None:
        label = "what it may do is unknown: the cluster’s roles and bindings were never listed"
        return Risk(_UNKNOWN, rbac.Severity.of(_UNKNOWN), ((label, str(_UNKNOWN)),))
    risks = [_of(scope, rules) for scope, rules in identity.permissions(case.now) if rules]
    nothing = Risk(_NOTHING, rbac.Severity.LOW, (("it may do nothing", str(_NOTHING)),))
    return max(risks, key=lambda risk: risk.score, default=nothing)


def _of(scope: str, rules: rbac.RuleSet) -> Risk:
    assessment = rbac.assess(rules, scope=scope)
    factors = [(each.label, each.effect) for each in assessment.factors if not each.label.startswith("as if bound")]
    found = Risk(assessment.score, assessment.severity, tuple(factors), assessment)
    kept = rules == node_rules()
    return found.times(_NODE, "the Node authorizer keeps it to what runs on the node") if kept else found


def _held_already(case: Case, identity: Identity) -> bool:
    """Tell whether the actor may do by itself everything that the identity may."""
    groups = tuple(case.opening.groups or ()) if case.opening else ()
    if MASTERS in groups:
        return True
    own = case.now.effective(rbac.Subject.of_user(case.alert.actor), "", groups).rules
    try:
        return all(rbac.covers(own, rules) for _, rules in identity.permissions(case.now))
    except rbac.TooMuchWork:
        return False
