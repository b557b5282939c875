"""A revoke: planned, rehearsed, run, and verified."""

from datetime import datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from alerts.models.alert import Alert

VALID_FOR = timedelta(minutes=10)
APPROVABLE_FOR = timedelta(minutes=15)
_ACTIVE = ("awaiting", "scheduled", "running")


class RevocationQuerySet(models.QuerySet["Revocation"]):
    """Questions about many revokes."""

    def active(self) -> "RevocationQuerySet":
        """Keep what somebody asked for and what has not ended: of an alert there is one at most."""
        return self.filter(state__in=_ACTIVE)

    def like(self, mode: str) -> "RevocationQuerySet":
        """Keep those about what was left behind where the mode is REMOVE, else those about the role."""
        left = models.Q(mode=Revocation.Mode.REMOVE)
        return self.filter(left if mode == Revocation.Mode.REMOVE else ~left)


class Revocation(models.Model):
    """One plan to take a role away, and what became of it. A new plan is a new row; nothing is planned over."""

    class Mode(models.TextChoices):
        """How much goes."""

        REVOKE = "revoke", "Revoke"
        UNBIND = "unbind", "Unbind"
        CONTAIN = "contain", "Contain"
        REMOVE = "remove", "Remove what was left behind"

    class State(models.TextChoices):
        """How far it has come."""

        PLANNED = "planned", "Planned"
        REFUSED = "refused", "Refused"
        AWAITING = "awaiting", "Waits for a second person"
        SCHEDULED = "scheduled", "Scheduled"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        PARTLY = "partly", "Partly done"
        FAILED = "failed", "Failed"
        CALLED_OFF = "called_off", "Called off"
        STALE = "stale", "Out of date"

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="revocations")
    mode = models.CharField(max_length=8, choices=Mode, default=Mode.REVOKE)
    state = models.CharField(max_length=12, choices=State, default=State.PLANNED)
    digest = models.CharField(max_length=64, help_text="Of the plan")
    plan = models.JSONField(
        help_text="Each object's kind, namespace, name, uid, resourceVersion and manifest, in order"
    )
    rehearsal = models.JSONField(default=list, help_text="The cluster's answer to each, by dryRun=All")
    warnings = models.JSONField(default=list)
    refusals = models.JSONField(default=list)
    effects = models.JSONField(default=dict, help_text="Every binding there is, who loses what, and what would break")
    planned_at = models.DateTimeField(default=timezone.now)
    reason = models.TextField(blank=True, default="")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    requested_at = models.DateTimeField(null=True)
    approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    approved_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True, help_text="End of the grace in which it can be called off")
    called_off_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    leased_until = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    results = models.JSONField(default=list, help_text="What happened to each object, and how it was verified")
    proof = models.JSONField(default=dict, help_text="What was read and asked again afterwards, and the answers")
    error = models.TextField(blank=True, default="")

    objects = RevocationQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["alert"],
                condition=models.Q(state__in=_ACTIVE),
                name="revocation_one_at_a_time",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=["planned", "refused", "stale"]) | models.Q(requested_by__isnull=False),
                name="revocation_run_for_somebody",
            ),
            models.CheckConstraint(
                condition=models.Q(approved_by=None) | ~models.Q(approved_by=models.F("requested_by")),
                name="revocation_approved_by_another",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["state", "due_at"], name="revocation_due")]
        ordering: ClassVar = ["-planned_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.mode} for {self.alert.reference}: {self.state}"

    @property
    def valid_until(self) -> datetime:
        """Until when the plan may be run: the cluster moves on."""
        return self.planned_at + VALID_FOR

    def is_fresh(self) -> bool:
        """Tell whether the plan may still be run."""
        return self.state == self.State.PLANNED and self.is_recent()

    def is_recent(self) -> bool:
        """Tell whether the cluster was looked at a short while ago."""
        return timezone.now() < self.valid_until

    @property
    def approvable_until(self) -> datetime | None:
        """Until when a second person may approve it; None where nobody asked for it."""
        return self.requested_at and self.requested_at + APPROVABLE_FOR

    def is_active(self) -> bool:
        """Tell whether it waits for a second person, is about to run, or runs."""
        return self.state in _ACTIVE

    def is_finished(self) -> bool:
        """Tell whether it was run to an end, whichever."""
        return self.state in {self.State.DONE, self.State.PARTLY, self.State.FAILED}
