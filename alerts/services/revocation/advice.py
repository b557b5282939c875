"""Which of the three ways fits, and why; and the reason a person would most likely give."""

from datetime import datetime, timedelta

import msgspec
from django.utils import timezone

from alerts import playbook, rbac
from alerts.models import Alert, Revocation
from alerts.services.revocation.protection import protection
from alerts.services.revocation.targets import Surroundings, feeding_labels

_SETTLED = timedelta(days=1)
PRECAUTION = "Precaution, before the questions are answered"


_BINDING_WRITES = [
    rbac.Request("create", "rbac.authorization.k8s.io", resource)
    for resource in ("clusterrolebindings", "rolebindings")
]


class Advice(msgspec.Struct, frozen=True):
    """The mode that fits, a sentence why, and whether the role should go before its bindings."""

    mode: str
    why: str
    role_first: bool = False


def advise(found: Surroundings) -> Advice:
    """Return what fits, and why."""
    if found.role is None:
        return Advice(Revocation.Mode.UNBIND, "The role itself is gone; its bindings would arm a new one of its name.")
    if protection(found.role):
        return Advice(Revocation.Mode.UNBIND, "The role is protected; what somebody bound to it is not.")
    labels = feeding_labels(found)
    made = [datetime.fromisoformat(each["metadata"]["creationTimestamp"]) for each in (found.role, *found.bindings)]
    settled = timezone.now() - min(made) > _SETTLED
    if settled and labels and found.bindings:
        return Advice(
            Revocation.Mode.CONTAIN,
            f"The role is in use since {min(made):%Y-%m-%d} and feeds others: taking {', '.join(labels)} off ends "
            "that, and its own holders keep it.",
        )
    if settled and len(found.bindings) > 1:
        return Advice(
            Revocation.Mode.UNBIND,
            f"The role is in use since {min(made):%Y-%m-%d}: unbind those who should not hold it, keep the others.",
        )
    count = len(found.bindings)
    bound = (
        f"{count} binding{'' if count == 1 else 's'} refer{'s' if count == 1 else ''} to it"
        if count
        else "nobody is bound"
    )
    racing = any(rbac.allows(found.role.get("rules"), request) for request in _BINDING_WRITES)
    haste = " Its holders may write bindings: let the role go first, which ends all of them at once." if racing else ""
    return Advice(Revocation.Mode.REVOKE, f"Made {made[0]:%Y-%m-%d %H:%M} UTC; {bound}.{haste}", racing)


def offered_reason(alert: Alert) -> str:
    """Return a reason made from the answers already given; empty where they speak against a revoke."""
    said = []
    steps = {step.key: step for step in alert.steps.exclude(outcome="").prefetch_related("answers")}
    for question in playbook.INVESTIGATION:
        step = steps.get(question.key)
        outcome = question.outcome(step.outcome) if step else None
        answer = step.answer() if step else None
        if outcome and outcome.alarming:
            said.append(f"{outcome.label} (“{answer.reason}”)" if answer and answer.reason else outcome.label)
    if said:
        return "; ".join(said)
    return "" if any(question.key in steps for question in playbook.INVESTIGATION) else PRECAUTION
