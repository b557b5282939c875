"""The outbox: everything that was or will be told to somebody."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from alerts.models.alert import Alert
from alerts.models.stakeholder import Channel, Stakeholder


class NotificationQuerySet(models.QuerySet["Notification"]):
    """Questions about many notifications."""

    def on_their_way(self) -> "NotificationQuerySet":
        """Keep those whose outcome will be known in a moment."""
        return self.filter(state__in=[Notification.State.QUEUED, Notification.State.SENDING])


class Notification(models.Model):
    """One message to one recipient by one way. It is sent at least once, and given up only visibly."""

    class Way(models.TextChoices):
        """How it travels."""

        EMAIL = "email", "Email"
        SLACK = "slack", "Slack"

    class State(models.TextChoices):
        """How far it has come."""

        QUEUED = "queued", "Queued"
        SENDING = "sending", "Sending"
        SENT = "sent", "Sent"
        RETRYING = "retrying", "Will be retried"
        FAILED = "failed", "Failed"

    alert = models.ForeignKey(
        Alert, on_delete=models.CASCADE, null=True, related_name="notifications", help_text="Empty for a test message"
    )
    stakeholder = models.ForeignKey(Stakeholder, on_delete=models.SET_NULL, null=True, related_name="notifications")
    recipient = models.CharField(max_length=120, help_text="The stakeholder's name at the time")
    way = models.CharField(max_length=8, choices=Way)
    channel = models.ForeignKey(Channel, on_delete=models.SET_NULL, null=True, related_name="+")
    destination = models.CharField(max_length=320, blank=True, help_text="Mail address or Slack channel")
    kind = models.CharField(max_length=16, default="told")
    # The same text to the same recipient in one go is one message, however often the form is sent.
    key = models.CharField(max_length=64, unique=True)
    subject = models.CharField(max_length=300)
    text = models.TextField()
    state = models.CharField(max_length=8, choices=State, default=State.QUEUED)
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)
    leased_until = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    provider_id = models.CharField(max_length=200, blank=True, default="")
    error = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")

    objects = NotificationQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["state", "due_at"], name="notification_due")]
        ordering: ClassVar = ["created_at", "pk"]

    def __str__(self) -> str:
        return f"{self.way} to {self.recipient}: {self.state}"
