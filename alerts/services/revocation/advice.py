"""Which of the three ways fits, and why; and the reason a person would most likely give."""

from datetime import datetime, timedelta

from django.utils import timezone

from alerts import playbook
from alerts.models import Alert, Revocation
from alerts.services.revocation.protection import protection
from alerts.services.revocation.targets import Surroundings

_SETTLED = timedelta(days=1)
PRECAUTION = "Precaution, before the questions are answered"


def advise(found: Surroundings) -> dict[str, str]:
    """Return the mode that fits and a sentence why: `mode` and `why`."""
    if found.role is None:
        return _advice(Revocation.Mode.UNBIND, "The role itself is gone; its bindings would arm a new one of its name.")
    if protection(found.role):
        return _advice(Revocation.Mode.UNBIND, "The role is protected; what somebody bound to it is not.")
    made = [datetime.fromisoformat(each["metadata"]["creationTimestamp"]) for each in (found.role, *found.bindings)]
    if timezone.now() - min(made) > _SETTLED and len(found.bindings) > 1:
        return _advice(
            Revocation.Mode.UNBIND,
            f"The role is in use since {min(made):%Y-%m-%d}: unbind those who should not hold it, keep the others.",
        )
    count = len(found.bindings)
    bound = (
        f"{count} binding{'' if count == 1 else 's'} refer{'s' if count == 1 else ''} to it"
        if count
        else "nobody is bound"
    )
    return _advice(Revocation.Mode.REVOKE, f"Made {made[0]:%Y-%m-%d %H:%M} UTC; {bound}.")


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


def _advice(mode: str, why: str) -> dict[str, str]:
    return {"mode": mode, "why": why}
