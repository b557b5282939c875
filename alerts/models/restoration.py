"""An undo: what a revoke took away, put back by an account of its own."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from alerts.models.revocation import Revocation


class Restoration(models.Model):
    """One attempt to put back what a revoke deleted, and what became of each object."""

    class State(models.TextChoices):
        """How far it has come."""

        RUNNING = "running", "Under way"
        DONE = "done", "Done"
        PARTLY = "partly", "Partly done"
        FAILED = "failed", "Failed"

    revocation = models.ForeignKey(Revocation, on_delete=models.CASCADE, related_name="restorations")
    state = models.CharField(max_length=8, choices=State, default=State.RUNNING)
    reason = models.TextField()
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(default=timezone.now)
    leased_until = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    results = models.JSONField(default=list, help_text="What became of each object, and its new uid")
    error = models.TextField(blank=True, default="")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["revocation"], condition=models.Q(state="running"), name="restoration_one_at_a_time"
            )
        ]
        ordering: ClassVar = ["-pk"]

    def __str__(self) -> str:
        return f"undo of {self.revocation}: {self.state}"

    def is_active(self) -> bool:
        """Tell whether it has not ended."""
        return self.state == self.State.RUNNING
