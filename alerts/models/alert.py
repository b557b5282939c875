"""An alert: something that may need a person, with everything gathered about it."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

from alerts import lifecycle
from alerts.models.access import AccessObject
from alerts.models.audit_event import AuditEvent
from alerts.models.cluster import Cluster
from alerts.models.known_actor import KnownActor
from alerts.models.mute import Mute


class AlertQuerySet(models.QuerySet["Alert"]):
    """Questions about many alerts."""

    def open(self) -> "AlertQuerySet":
        """Keep those that are not closed."""
        return self.exclude(status=lifecycle.Status.CLOSED)


class Alert(models.Model):
    """One cause, one alert: the fingerprint is unique in its cluster."""

    class Severity(models.TextChoices):
        """How bad it would be, from what is actually granted and to whom."""

        CRITICAL = "critical", "Critical"
        HIGH = "high", "High"
        MEDIUM = "medium", "Medium"
        LOW = "low", "Low"

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="alerts")
    detection = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64)
    title = models.TextField()
    attempted = models.BooleanField(default=False, help_text="The API server refused it")
    object = models.ForeignKey(AccessObject, on_delete=models.PROTECT, null=True, related_name="alerts")
    object_uid = models.CharField(max_length=64, blank=True, default="")
    events = models.ManyToManyField(AuditEvent, related_name="alerts")
    actor = models.TextField()
    happened_at = models.DateTimeField(help_text="Of its first event")
    opened_at = models.DateTimeField(default=timezone.now)
    respond_by = models.DateTimeField(null=True)
    historical = models.BooleanField(default=False, help_text="It was long over when we heard of it: no alarm")
    rollout_key = models.CharField(max_length=64, blank=True, default="", help_text="Who, from where and with what")
    release = models.TextField(blank=True, default="", help_text="What its object was released with")

    severity = models.CharField(max_length=8, choices=Severity, default=Severity.MEDIUM)
    score = models.PositiveSmallIntegerField(default=0)
    factors = models.JSONField(default=list, help_text="What the score is made of")
    known_actor = models.ForeignKey(KnownActor, on_delete=models.SET_NULL, null=True, related_name="alerts")
    muted_by = models.ForeignKey(Mute, on_delete=models.PROTECT, null=True, related_name="alerts")

    status = models.CharField(max_length=12, choices=list(lifecycle.LABELS.items()), default=lifecycle.Status.NEW)
    verdict = models.CharField(
        max_length=20,
        blank=True,
        default="",
        choices=[(verdict, meaning.label) for verdict, meaning in lifecycle.VERDICTS.items()],
    )
    closed_at = models.DateTimeField(null=True)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="alerts"
    )
    # Counted up by every change of a person; a form made from an older version is answered 409.
    version = models.PositiveIntegerField(default=1)

    story = models.JSONField(default=list, help_text="The first line, as pairs of emphasis and text")
    evidence = models.JSONField(default=dict, help_text="By step of the playbook")
    evidence_at = models.DateTimeField(null=True)
    evidence_error = models.TextField(blank=True, default="")
    evidence_due = models.BooleanField(default=True, help_text="Something happened since it was gathered")

    objects = AlertQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["cluster", "fingerprint"], name="alert_once_for_a_cause"),
            models.CheckConstraint(
                condition=models.Q(status="closed", closed_at__isnull=False) & ~models.Q(verdict="")
                | ~models.Q(status="closed") & models.Q(closed_at__isnull=True, verdict=""),
                name="alert_closed_with_a_verdict",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["status", "-score"], name="alert_queue"),
            models.Index(fields=["cluster", "rollout_key"], name="alert_rollout"),
        ]
        permissions: ClassVar = [
            ("triage_alert", "May take, answer, note, notify and close alerts"),
            ("revoke_role", "May revoke roles on clusters"),
        ]

    def __str__(self) -> str:
        return f"{self.reference} {self.title}"

    def get_absolute_url(self) -> str:
        """Return the address of the alert's page."""
        return reverse("alerts:alert", args=[self.pk])

    @property
    def reference(self) -> str:
        """The name people call it by, such as RC-128."""
        return f"RC-{self.pk}"

    def is_open(self) -> bool:
        """Tell whether somebody still has to look at it."""
        return self.status != lifecycle.Status.CLOSED

    def awaits_response(self) -> bool:
        """Tell whether nobody began with it, and there is a time by which somebody should."""
        return self.status == lifecycle.Status.NEW and self.respond_by is not None

    def is_overdue(self) -> bool:
        """Tell whether nobody began with it by the time by which somebody should have."""
        return self.awaits_response() and self.respond_by is not None and self.respond_by < timezone.now()
