"""The end of a run: what it came to, said once in a sentence, on the record and on the alert's checklist."""

from collections.abc import Iterator

from django.db import transaction
from django.utils import timezone

from alerts.models import Activity, Alert, Answer, Revocation, Step
from alerts.services import remedies, watch, workflow
from alerts.services.revocation import removal, summary

State = Revocation.State
_SAID = 5


def conclude(claimed: Revocation) -> Revocation:
    """Store the end of a run, record it, and answer the alert's step where everything is gone; once only."""
    state, error = verdict(claimed)
    with transaction.atomic():
        alert = Alert.objects.select_for_update().get(pk=claimed.alert_id)
        mine = Revocation.objects.filter(pk=claimed.pk, state=State.RUNNING, leased_until=claimed.leased_until)
        ended = mine.update(state=state, error=error, finished_at=timezone.now())
        revocation = Revocation.objects.get(pk=claimed.pk)
        if ended:
            finish(alert, revocation)
    return revocation


def verdict(run: Revocation) -> tuple[State, str]:
    """Return the state a run ends in, and what is to be said of it besides.

    Done means that every object was taken away and was found absent when it was read again.
    """
    problems = [*_unfinished(run), *_unproven(run)]
    if not problems and run.proof:
        remarks = [f"{each['subject']}: {each['text']}" for each in run.proof["holders"] if each["passed"] is not True]
        return State.DONE, " ".join(remarks[:_SAID])
    if run.error and run.error not in problems:
        problems.append(run.error)
    more = [f"And {len(problems) - _SAID} more."] if len(problems) > _SAID else []
    state = State.PARTLY if any(result["ended"] for result in run.results) else State.FAILED
    return state, " ".join((problems[:_SAID]) + more)


def _unfinished(run: Revocation) -> Iterator[str]:
    """Say of each object that was not taken away why. A pod that was ending may be found gone by the proof."""
    checks = run.proof.get("objects", [])
    for number, target in enumerate(run.plan):
        result = run.results[number] if number < len(run.results) else None
        if result is not None and result["outcome"] == "ending" and number < len(checks) and checks[number]["passed"]:
            continue
        if result is None:
            yield f"{_name(target)}: not begun."
        elif not result["ended"]:
            yield f"{_name(target)}: {result['text']}"


def _unproven(run: Revocation) -> Iterator[str]:
    """Say what the proof found against what the results say."""
    if not run.proof:
        if run.results:
            yield "It ended before it could be verified."
        return
    for result, check in zip(run.results, run.proof["objects"], strict=True):
        if result["ended"] and check["passed"] is not True:
            yield f"{check['subject']}: {check['text']}"
    for check in run.proof["bindings"]:
        yield f"{check['subject']}: {check['text']}"


def _name(target: dict[str, str]) -> str:
    return f"{target['kind']} {target['namespace'] and target['namespace'] + '/'}{target['name']}"


def finish(alert: Alert, revocation: Revocation) -> None:
    """Write the end of a run on the alert, whose row must be locked: evidence, record, answer, watch, next version.

    What was done is watched for its return from this moment on.
    """
    removes = revocation.mode == Revocation.Mode.REMOVE
    summary.write_evidence(alert, revocation)
    if removes:
        remedies.tick_removed(alert, removal.proved(revocation), by=revocation.requested_by)
    elif revocation.state == State.DONE and _ends_everything(revocation):
        _answer(alert, revocation)
    Activity.objects.record(
        f"revoke_{revocation.state}",
        f"{revocation.mode} {'what was left behind' if removes else alert.object}: {summary.outcome(revocation)}",
        by=revocation.requested_by,
        alert=alert,
        detail={"revocation": revocation.pk, "results": revocation.results, "proof": revocation.proof},
    )
    if revocation.state == State.DONE and not removes:
        watch.start(alert, by=revocation.requested_by, days=watch.DAYS)
    workflow.begin(alert)
    alert.version, alert.evidence_due = alert.version + 1, alert.evidence_due or removes
    alert.save(update_fields=["version", "evidence_due", "status"])


def _ends_everything(revocation: Revocation) -> bool:
    """Tell whether nobody holds the role through anything any more."""
    unbound = all(binding["chosen"] for binding in revocation.effects.get("bindings", []))
    return revocation.mode != Revocation.Mode.UNBIND or unbound


def _answer(alert: Alert, revocation: Revocation) -> None:
    """Answer the step for the person who asked for the revoke, unless somebody answered it or closed the alert."""
    step = Step.objects.select_for_update().filter(alert=alert, key="revoke", outcome="").first()
    if step is None or not alert.is_open():
        return
    step.outcome = "revoked"
    step.save(update_fields=["outcome"])
    evidence = alert.evidence["revoke"] | {"proof": revocation.proof}
    Answer.objects.create(
        step=step, outcome="revoked", reason=revocation.reason, by=revocation.requested_by, evidence=evidence
    )
