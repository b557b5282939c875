"""A revoke in one line, for the step on the alert's page and for the record."""

from collections import Counter
from typing import Any

from alerts.models import Alert, Revocation

State = Revocation.State


def write_evidence(alert: Alert, revocation: Revocation) -> None:
    """Keep how the revoke stands as the evidence of the alert's step; the alert's row must be locked.

    A removal of what was left behind is told by the items of its own step.
    """
    if revocation.mode == Revocation.Mode.REMOVE:
        return
    alert.evidence = alert.evidence | {"revoke": evidence(revocation)}
    alert.save(update_fields=["evidence"])


def evidence(revocation: Revocation) -> dict[str, Any]:
    """Return the line and the chips that the step shows, and which revoke they tell of."""
    return {"summary": sentence(revocation), "chips": chips(revocation), "revocation": revocation.pk}


def sentence(revocation: Revocation) -> str:
    """Return how a revoke stands, in a sentence or two."""
    match revocation.state:
        case State.PLANNED:
            return f"{intent(revocation)} Rehearsed on the cluster: accepted. {_breaks(revocation)}"
        case State.REFUSED | State.STALE:
            return revocation.error or " ".join(refusal["text"] for refusal in revocation.refusals)
        case State.AWAITING:
            return f"{intent(revocation)} Asked for; somebody else has to approve it."
        case State.SCHEDULED:
            return f"{intent(revocation)} About to run."
        case State.RUNNING:
            return f"{intent(revocation)} Running."
        case State.CALLED_OFF:
            return revocation.error or "Called off before anything happened."
        case _:
            return outcome(revocation)


def intent(revocation: Revocation) -> str:
    """Return what a plan does, in a sentence."""
    if labels := unlabelled(revocation):
        return f"Takes {labels} off the role, so that it feeds no other."
    verb = "Empties the rules of" if revocation.mode == Revocation.Mode.CONTAIN else "Deletes"
    first = ", the role first" if revocation.effects.get("role_first") else ""
    return f"{verb} {objects(revocation)}{first}."


def outcome(revocation: Revocation) -> str:
    """Return what a run came to, in a sentence."""
    if revocation.state == State.DONE:
        if labels := unlabelled(revocation):
            return f"The role feeds no other any more: {labels} is off, verified on the cluster."
        if revocation.mode == Revocation.Mode.CONTAIN:
            return "The role’s rules are empty; verified on the cluster."
        return f"Gone, and verified: {objects(revocation)}."
    ended = sum(result.get("ended", False) for result in revocation.results)
    if revocation.state == State.PARTLY:
        return f"{ended} of {len(revocation.plan)} done. {revocation.error}"
    return revocation.error or "Nothing was done."


def unlabelled(revocation: Revocation) -> str:
    """Return the labels that a plan takes off, with commas; empty where it does something else."""
    each = (target for target in revocation.plan if target["action"] == "unlabel")
    return ", ".join(label for target in each for label in target["merge"]["metadata"]["labels"])


def objects(revocation: Revocation) -> str:
    """Return what the plan holds, counted: “1 role and 2 bindings”; of a removal “1 DaemonSet and 2 CronJobs”, or
    “6 objects” where they are of more than two kinds.
    """
    if revocation.mode == Revocation.Mode.REMOVE:
        kinds = Counter(target["kind"] for target in revocation.plan)
        counted = [f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in kinds.items()]
        return f"{len(revocation.plan)} objects" if len(kinds) > 2 else " and ".join(counted) or "nothing"
    bindings = sum(target["kind"].endswith("Binding") for target in revocation.plan)
    counts = ((len(revocation.plan) - bindings, "role"), (bindings, "binding"))
    return " and ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts if count) or "nothing"


def action(revocation: Revocation) -> str:
    """Return the words of the button that runs the plan: “Revoke role and 1 binding”."""
    if revocation.mode == Revocation.Mode.CONTAIN:
        return "Contain role"
    if revocation.mode == Revocation.Mode.REMOVE:
        return f"Remove {objects(revocation)}"
    verb = "Unbind" if revocation.mode == Revocation.Mode.UNBIND else "Revoke"
    return f"{verb} {objects(revocation).replace('1 role', 'role')}"


def chips(revocation: Revocation) -> list[list[str]]:
    """Return the marks beside the step's title, as pairs of level and text."""
    if revocation.state == State.REFUSED:
        if revocation.effects.get("gone"):
            return [["good", "Gone already"]]
        return [["high", "Refused"]] if revocation.refusals else [["medium", "Not possible now"]]
    if revocation.state == State.PLANNED:
        count = len(revocation.warnings)
        return [["high", f"{count} warning{'' if count == 1 else 's'}"]] if count else [["good", "Ready"]]
    level = {State.DONE: "good", State.PARTLY: "high", State.FAILED: "critical"}.get(State(revocation.state), "medium")
    return [[level, revocation.get_state_display()]]


def _breaks(revocation: Revocation) -> str:
    used = revocation.effects.get("use")
    if used is None:
        return "What it was used for is unknown."
    count, hours = sum(each["count"] for each in used), revocation.effects.get("hours")
    if not count:
        return f"Nothing that the role alone permitted was asked for in the last {hours} h."
    return f"It would have refused {count} request{'' if count == 1 else 's'} of the last {hours} h."
