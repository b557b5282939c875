"""What people do to an alert: take it, answer its steps, write notes, close it, reopen it.

Every change names the version of the alert that the person saw; where somebody else changed it since, Stale is raised
and nothing happens.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from alerts import lifecycle, playbook
from alerts.lifecycle import MoveRefused, Status, Verdict
from alerts.models import Activity, Alert, Answer, Note, NoteRevision, Step
from alerts.services import standing

_CHANGED_BY_PEOPLE = ["status", "verdict", "closed_at", "assignee", "version"]


class Stale(Exception):
    """Somebody else changed the alert since the person looked at it."""


@contextmanager
def _changing(alert: Alert, *, version: int) -> Iterator[Alert]:
    """Lock the alert, check that it is still at that version, and save what the block changed as the next one.

    Raises Stale.
    """
    with transaction.atomic():
        fresh = Alert.objects.select_for_update(no_key=True).get(pk=alert.pk)
        if fresh.version != version:
            raise Stale("This alert changed since you looked at it. Here is how it stands; nothing of yours was saved.")
        yield fresh
        fresh.version += 1
        fresh.save(update_fields=_CHANGED_BY_PEOPLE)


def begin(alert: Alert) -> None:
    """Count a new alert as begun: somebody works on it. The caller saves its status."""
    if alert.status == Status.NEW:
        alert.status = Status.IN_PROGRESS


def take(alert: Alert, *, by: User, version: int) -> None:
    """Make the alert this person's, and count it as begun.

    Raises Stale.
    """
    with _changing(alert, version=version) as fresh:
        begin(fresh)
        fresh.assignee = by
        Activity.objects.record("assigned", "took the alert", by=by, alert=fresh)


def assign(alert: Alert, to: User | None, *, by: User, version: int) -> None:
    """Give the alert to somebody, or to nobody.

    Raises Stale; MoveRefused for a person who may not triage.
    """
    if to is not None and not to.has_perm("alerts.triage_alert"):
        raise MoveRefused(f"{to.username} may not triage alerts.")
    with _changing(alert, version=version) as fresh:
        fresh.assignee = to
        summary = f"gave the alert to {to.username}" if to else "gave the alert back to the queue"
        Activity.objects.record("assigned", summary, by=by, alert=fresh)


def move(alert: Alert, to: Status, *, by: User, version: int, reason: str = "") -> None:
    """Move an open alert to another open status; waiting needs a reason.

    Raises Stale and MoveRefused.
    """
    if to == Status.CLOSED:
        raise MoveRefused("Closing needs a verdict.")
    if to == Status.WAITING and not reason.strip():
        raise MoveRefused("Say what you are waiting for.")
    with _changing(alert, version=version) as fresh:
        if fresh.status == Status.CLOSED:
            raise MoveRefused("This alert is closed. Reopen it with a reason.")
        lifecycle.check_move(Status(fresh.status), to)
        fresh.status = to
        because = f": {reason.strip()}" if reason.strip() else ""
        Activity.objects.record("moved", f"set it to {lifecycle.LABELS[to].lower()}{because}", by=by, alert=fresh)


def answer(alert: Alert, key: str, outcome: str, *, by: User, version: int, reason: str = "") -> None:
    """Answer a step of the checklist. The evidence that lies before the person is kept with the answer.

    Raises Stale; MoveRefused for an outcome that the step does not have, or on a closed alert.
    """
    try:
        definition = playbook.step(key)
        label = definition.outcome(outcome).label
    except KeyError:
        raise MoveRefused("This step has no such outcome.") from None
    with _changing(alert, version=version) as fresh:
        if not fresh.is_open():
            raise MoveRefused("This alert is closed. Reopen it to change an answer.")
        begin(fresh)
        step = Step.objects.select_for_update().get(alert=fresh, key=key)
        step.outcome = outcome
        step.save()
        evidence = standing.evidence(fresh, key)
        Answer.objects.create(step=step, outcome=outcome, reason=reason.strip(), by=by, evidence=evidence)
        Activity.objects.record(
            "answered",
            f"concluded “{label}” on “{definition.title}”",
            by=by,
            alert=fresh,
            detail={"reason": reason.strip()},
        )


def reopen_step(alert: Alert, key: str, *, by: User, version: int) -> None:
    """Open a step again; its earlier answers stay on record.

    Raises Stale; MoveRefused on a closed alert.
    """
    with _changing(alert, version=version) as fresh:
        if not fresh.is_open():
            raise MoveRefused("This alert is closed. Reopen it first.")
        step = Step.objects.select_for_update().get(alert=fresh, key=key)
        step.outcome = ""
        step.save()
        Answer.objects.create(step=step, outcome="", by=by)
        Activity.objects.record("answered", f"reopened “{step.definition.title}”", by=by, alert=fresh)


def close(alert: Alert, verdict: Verdict, *, by: User, version: int, reason: str) -> None:
    """Close the alert with a verdict and the reason for it.

    Raises Stale; MoveRefused naming the answers that are missing.
    """
    with _changing(alert, version=version) as fresh:
        lifecycle.check_move(Status(fresh.status), Status.CLOSED)
        answered = frozenset(fresh.steps.exclude(outcome="").values_list("key", flat=True))
        lifecycle.check_closing(verdict, answered=answered, reason=reason)
        fresh.status, fresh.verdict, fresh.closed_at = Status.CLOSED, verdict, timezone.now()
        label = lifecycle.VERDICTS[verdict].label.lower()
        Activity.objects.record(
            "closed", f"closed it as {label}: {reason.strip()}", by=by, alert=fresh, detail={"verdict": verdict}
        )


def reopen(alert: Alert, *, by: User | None, version: int, reason: str) -> None:
    """Open a closed alert again.

    Raises Stale; MoveRefused where it is open, or without a reason.
    """
    if not reason.strip():
        raise MoveRefused("Say in a sentence why it is open again.")
    with _changing(alert, version=version) as fresh:
        if fresh.is_open():
            raise MoveRefused("This alert is open already.")
        fresh.status, fresh.verdict, fresh.closed_at = Status.IN_PROGRESS, "", None
        Activity.objects.record("reopened", f"reopened it: {reason.strip()}", by=by, alert=fresh)


def withdraw(alert: Alert, *, reason: str) -> None:
    """Close an alert that does not stand any more as a false positive; where people work on it already, tell them.

    Belongs into a transaction. Where it is closed, nothing happens.
    """
    fresh = Alert.objects.select_for_update(no_key=True).get(pk=alert.pk)
    if fresh.status == Status.NEW and fresh.assignee is None:
        fresh.status, fresh.verdict, fresh.closed_at = Status.CLOSED, Verdict.FALSE_POSITIVE, timezone.now()
        fresh.version += 1
        fresh.save(update_fields=_CHANGED_BY_PEOPLE)
        Activity.objects.record("withdrawn", f"withdrew it: {reason}", by=None, alert=fresh)
    elif fresh.is_open() and not fresh.activities.filter(kind="doubted").exists():
        Activity.objects.record("doubted", f"would have withdrawn it: {reason}", by=None, alert=fresh)


def reinstate(alert: Alert, *, reason: str) -> bool:
    """Open an alert again that was withdrawn, as new as it was, and tell whether it was. Any other stays as it is."""
    if alert.is_open():
        return False
    ended = alert.activities.filter(kind__in=["closed", "withdrawn"]).order_by("-pk").first()
    if ended is None or ended.kind != "withdrawn":
        return False
    with _changing(alert, version=alert.version) as fresh:
        fresh.status, fresh.verdict, fresh.closed_at = Status.NEW, "", None
        Activity.objects.record("reopened", f"reopened it: {reason}", by=None, alert=fresh)
    return True


def write_note(alert: Alert, text: str, *, by: User, step_key: str = "") -> Note:
    """Add a note to the alert, or to one of its steps.

    Raises MoveRefused for an empty or far too long one.
    """
    _check_note(text)
    with transaction.atomic():
        step = alert.steps.filter(key=step_key).first() if step_key else None
        note = Note.objects.create(alert=alert, step=step, author=by, text=text)
        Activity.objects.record("noted", "wrote a note", by=by, alert=alert, detail={"note": note.pk})
        return note


def edit_note(note: Note, text: str, *, by: User) -> None:
    """Replace the text of one's own note; what it said before is kept.

    Raises MoveRefused for somebody else's note, and for an empty text.
    """
    _check_note(text)
    if note.author_id != by.pk:
        raise MoveRefused("Only its author may edit a note.")
    with transaction.atomic():
        NoteRevision.objects.create(note=note, text=note.text)
        note.text, note.edited_at = text, timezone.now()
        note.save()
        Activity.objects.record("noted", "edited a note", by=by, alert=note.alert, detail={"note": note.pk})


def _check_note(text: str) -> None:
    limit = Note._meta.get_field("text").max_length or 0
    if not text.strip():
        raise MoveRefused("The note is empty.")
    if len(text) > limit:
        raise MoveRefused(f"A note has at most {limit:,} characters; this one has {len(text):,}.")
