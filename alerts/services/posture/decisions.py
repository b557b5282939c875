"""What people decide about a finding: to live with it for a while, or that it is fixed."""

from datetime import timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from alerts.models import Acceptance, Activity, Alert, PostureFinding
from alerts.services.posture import review

DAYS = 90
LONGEST_DAYS = 365
LONGEST_REASON = 2000


class Refused(Exception):
    """A decision that a finding does not allow; its text is the sentence people see."""


def accept(finding: PostureFinding, *, by: User, reason: str, days: int = DAYS) -> None:
    """Accept a finding for so many days, held between 1 and LONGEST_DAYS; an acceptance before this one ends.

    Raises Refused without a reason, and where the finding is fixed.
    """
    reason = reason.strip()[:LONGEST_REASON]
    if not reason:
        raise Refused("Say in a sentence why it may stay: whoever looks next will want to know.")
    until = timezone.now() + timedelta(days=min(max(days, 1), LONGEST_DAYS))
    with transaction.atomic():
        fresh = _standing(finding)
        _end_acceptances(fresh)
        Acceptance.objects.create(finding=fresh, by=by, reason=reason, until=until)
        _note(fresh, f"accepted until {until:%Y-%m-%d}", by=by, reason=reason)


def withdraw(finding: PostureFinding, *, by: User) -> None:
    """Take an acceptance back; where there is none, nothing happens.

    Raises Refused where the finding is fixed.
    """
    with transaction.atomic():
        fresh = _standing(finding)
        if _end_acceptances(fresh):
            _note(fresh, "no longer accepted", by=by)


def mark_fixed(finding: PostureFinding, *, by: User) -> None:
    """Close a finding on somebody's word; the next look at the cluster opens it again as a new one if it is still so.

    Raises Refused where it is fixed already.
    """
    with transaction.atomic():
        fresh = _standing(finding)
        fresh.closed_at, fresh.fixed_by = timezone.now(), by
        fresh.save(update_fields=["closed_at", "fixed_by"])
        _note(fresh, "marked fixed", by=by)


def _standing(finding: PostureFinding) -> PostureFinding:
    """Hold a finding, after its alert and the day's review: whoever looks at the cluster holds them in this order."""
    if finding.alert_id is not None:
        Alert.objects.select_for_update(no_key=True).values_list("pk").get(pk=finding.alert_id)
    review.hold(finding.cluster)
    fresh = PostureFinding.objects.select_for_update(of=("self",)).select_related("cluster", "alert").get(pk=finding.pk)
    if fresh.closed_at is not None:
        raise Refused("This finding is fixed already. Here is how it stands; nothing was changed.")
    return fresh


def _end_acceptances(finding: PostureFinding) -> int:
    return Acceptance.objects.in_force().filter(finding=finding).update(withdrawn_at=timezone.now())


def _note(finding: PostureFinding, what: str, *, by: User, reason: str = "") -> None:
    summary = f"{what}: {finding.get_kind_display()}: {finding.title}"
    detail = {"finding": finding.pk, "reason": reason}
    Activity.objects.record("posture", summary, by=by, alert=finding.alert, cluster=finding.cluster, detail=detail)
    review.tally_today(finding.cluster)
