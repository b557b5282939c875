"""A decision to run a plan, a second person's to let it run, and anybody's to call it off while there is time."""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from alerts.audit.visible import visible
from alerts.models import Activity, Alert, Revocation
from alerts.models.revocation import APPROVABLE_FOR
from alerts.services import workflow
from alerts.services.revocation import planning, removal, summary, targets
from alerts.services.revocation.cautions import personal

PERMISSION = "alerts.revoke_role"
State = Revocation.State


class RequestRefused(Exception):
    """A decision that cannot be carried out; its text is the sentence people see."""


class Outdated(RequestRefused):
    """The plan is no longer the one that the person saw, or was never theirs to see."""


def request(revocation: Revocation, *, by: User, reason: str, digest: str, typed_name: str = "") -> Revocation:
    """Schedule the plan to run after the grace, or have it wait for a second person where the cluster asks for one.

    Asking again for what waits, is scheduled or running changes nothing.

    `digest` is that of the plan the person saw; `typed_name` the name of the role, where warnings ask for it.
    Raises RequestRefused, and Outdated where the plan must be looked at again.
    """
    if not by.has_perm(PERMISSION):
        raise RequestRefused("You may not revoke roles. Ask somebody in the group Responder.")
    try:
        with transaction.atomic():
            alert = Alert.objects.select_for_update().get(pk=revocation.alert_id)
            fresh = Revocation.objects.select_for_update().get(pk=revocation.pk)
            if fresh.is_active() and fresh.digest == digest:
                return fresh
            _check(fresh, by, reason, digest, typed_name)
            now = timezone.now()
            fresh.state, fresh.reason = State.AWAITING, reason.strip()
            fresh.requested_by, fresh.requested_at = by, now
            if not fresh.alert.cluster.second_person_required:
                _schedule(fresh)
            fresh.save()
            workflow.begin(alert)
            alert.save(update_fields=["status"])
            summary.write_evidence(alert, fresh)
            _record(fresh, "revoke_requested", f"asked to {what(fresh)}: {fresh.reason}", by)
    except IntegrityError:
        raise RequestRefused("Another revoke of this alert is under way. Wait for its end.") from None
    return fresh


def approve(revocation: Revocation, *, by: User, digest: str) -> Revocation:
    """Schedule what somebody else asked for; approving again what one approved changes nothing.

    `digest` is that of the plan the approver saw. A plan that grew old meanwhile is compared with the cluster first.
    Raises RequestRefused, and Outdated where the plan must be looked at again: the request is then withdrawn.
    """
    if not by.has_perm(PERMISSION):
        raise RequestRefused("You may not approve a revoke. Ask somebody in the group Responder.")
    if revocation.state == State.AWAITING and not revocation.is_recent() and not _still_fits(revocation):
        _withdraw(revocation, "The cluster changed since it was asked for.")
        raise Outdated("The cluster changed since it was asked for. Nothing was done; look at the new plan.")
    with transaction.atomic():
        alert = Alert.objects.select_for_update().get(pk=revocation.alert_id)
        fresh = Revocation.objects.select_for_update().get(pk=revocation.pk)
        if fresh.approved_by_id == by.pk and fresh.digest == digest and fresh.is_active():
            return fresh
        _check_approval(fresh, by, digest)
        fresh.approved_by, fresh.approved_at = by, timezone.now()
        _schedule(fresh)
        fresh.save()
        summary.write_evidence(alert, fresh)
        _record(fresh, "revoke_approved", f"approved to {what(fresh)}", by)
    return fresh


def withdraw_unapproved() -> None:
    """Withdraw the requests that nobody approved in time."""
    for waiting in Revocation.objects.filter(
        state=State.AWAITING, requested_at__lte=timezone.now() - APPROVABLE_FOR
    ).select_related("alert__object"):
        _withdraw(waiting, "Nobody approved it within 15 minutes.")


def call_off(revocation: Revocation, *, by: User) -> None:
    """Call off a revoke that has not begun.

    Raises RequestRefused where it is too late, or for somebody who may not revoke.
    """
    if not by.has_perm(PERMISSION):
        raise RequestRefused("You may not call off a revoke. Ask somebody in the group Responder.")
    with transaction.atomic():
        alert = Alert.objects.select_for_update().get(pk=revocation.alert_id)
        waiting = Revocation.objects.filter(pk=revocation.pk, state__in=[State.AWAITING, State.SCHEDULED])
        if not waiting.update(state=State.CALLED_OFF, called_off_by=by, finished_at=timezone.now()):
            raise RequestRefused("It is too late to call it off: it began, or was called off already.")
        fresh = Revocation.objects.get(pk=revocation.pk)
        summary.write_evidence(alert, fresh)
        _record(fresh, "revoke_called_off", f"called off: {what(fresh)}", by)


def what(revocation: Revocation) -> str:
    """Return what the person decided, as the end of a sentence: “revoke ClusterRole x (1 role and 2 bindings)”."""
    if revocation.mode == Revocation.Mode.REMOVE:
        return f"remove what was left behind: {', '.join(map(str, targets.of(revocation)))}"
    return f"{revocation.mode} {revocation.alert.object} ({summary.objects(revocation)})"


def name_to_type(revocation: Revocation) -> str:
    """Return the name that a person types where warnings ask for it: the role's, or of a removal the first object's."""
    if revocation.mode == Revocation.Mode.REMOVE:
        return next((str(target["name"]) for target in revocation.plan), "")
    return revocation.alert.object.name if revocation.alert.object else ""


def _schedule(fresh: Revocation) -> None:
    fresh.state = State.SCHEDULED
    fresh.due_at = timezone.now() + timedelta(seconds=settings.REVOKE_GRACE_SECONDS)


def _withdraw(revocation: Revocation, why: str) -> None:
    with transaction.atomic():
        alert = Alert.objects.select_for_update().get(pk=revocation.alert_id)
        waiting = Revocation.objects.filter(pk=revocation.pk, state=State.AWAITING)
        if waiting.update(state=State.CALLED_OFF, finished_at=timezone.now(), error=f"{why} Nothing was done."):
            fresh = Revocation.objects.get(pk=revocation.pk)
            summary.write_evidence(alert, fresh)
            _record(fresh, "revoke_withdrawn", f"withdrew: {what(fresh)}. {why}", None)


def _still_fits(revocation: Revocation) -> bool:
    """Tell whether a plan made now would be the same.

    Raises RequestRefused where the cluster cannot be asked.
    """
    alert, mode = revocation.alert, revocation.mode
    removes = mode == Revocation.Mode.REMOVE
    made = removal.redraft(revocation) if removes else planning.draft(alert, mode, planning.chosen(revocation))
    if made.effects.get("remembered"):
        raise RequestRefused(f"The plan is old and cannot be compared with the cluster: {made.error}")
    return made.runnable and planning.digest(alert, mode, made) == revocation.digest


def _check_approval(fresh: Revocation, by: User, digest: str) -> None:
    if fresh.state != State.AWAITING or fresh.approvable_until is None:
        raise RequestRefused("Nothing waits to be approved: it was approved, called off, or withdrawn.")
    if fresh.requested_by_id == by.pk:
        raise RequestRefused("You asked for it yourself. Somebody else in the group Responder has to approve it.")
    if not fresh.alert.is_open():
        raise RequestRefused("This alert is closed. Reopen it first.")
    if timezone.now() >= fresh.approvable_until:
        raise RequestRefused("Nobody approved it within 15 minutes. Ask for it again.")
    if fresh.digest != digest:
        raise Outdated("What you saw is not what was asked for. Look at it again; nothing was done.")


def _check(fresh: Revocation, by: User, reason: str, digest: str, typed_name: str) -> None:
    if not fresh.alert.is_open():
        raise RequestRefused("This alert is closed. Reopen it first.")
    if fresh.state == State.REFUSED:
        raise RequestRefused(summary.sentence(fresh))
    if fresh.digest != digest or fresh.state != State.PLANNED:
        raise Outdated("The plan changed since you looked at it. Here is the new one; nothing was done.")
    if not fresh.is_fresh():
        raise Outdated("The plan is more than ten minutes old. Make a new one; nothing was done.")
    if not reason.strip():
        raise RequestRefused("Say in a sentence why: the reason is kept with the action.")
    grave = any(warning["grave"] for warning in fresh.warnings) or personal(fresh, by)
    if grave and visible(name_to_type(fresh)) != visible(typed_name):
        raise RequestRefused("Because of the warnings, type the name to go on.")


def _record(revocation: Revocation, kind: str, text: str, by: User | None) -> None:
    detail = {"revocation": revocation.pk, "mode": revocation.mode, "digest": revocation.digest}
    Activity.objects.record(kind, text, by=by, alert=revocation.alert, detail=detail)
