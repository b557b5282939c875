"""What must not happen again after an alert."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from alerts.models.alert import Alert
from alerts.models.audit_event import AuditEvent


class Watch(models.Model):
    """One condition that reopens its alert when it comes true, until a date."""

    class Condition(models.TextChoices):
        """What is watched for."""

        RETURNS = "returns", "A role or binding of this name returns"
        GAINS = "gains", "Somebody who held the role is given something else"
        ACTOR_WRITES = "actor_writes", "The actor writes RBAC again"
        REMAINS = "remains", "Something that was left behind returns"

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="watches")
    condition = models.CharField(max_length=16, choices=Condition)
    kind = models.CharField(max_length=64, blank=True, default="", help_text="Of the object, or of the subject")
    namespace = models.TextField(blank=True, default="")
    name = models.TextField(help_text="Of the object, the subject or the actor")
    since = models.DateTimeField(default=timezone.now)
    until = models.DateTimeField()
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    tripped_at = models.DateTimeField(null=True)
    tripped_by = models.ForeignKey(AuditEvent, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering: ClassVar = ["since", "pk"]

    def __str__(self) -> str:
        return f"{self.alert.reference}: {self.get_condition_display()}: {self.name}"

    def is_running(self) -> bool:
        """Tell whether it can still trip."""
        return self.tripped_at is None and self.until > timezone.now()
