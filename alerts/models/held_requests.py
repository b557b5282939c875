"""What an investigation found, held with its alert: the batches it was found in are purged sooner or later."""

from django.db import models

from alerts.models.alert import Alert


class HeldRequests(models.Model):
    """The requests that the investigations of an alert found: of very many, those that matter most."""

    alert = models.OneToOneField(Alert, on_delete=models.CASCADE, primary_key=True, related_name="held_requests")
    history_since = models.DateTimeField(null=True, help_text="When the oldest batch began that was ever looked at")
    cut = models.BooleanField(default=False, help_text="There were more than are held")
    body = models.BinaryField(help_text="Compressed and encrypted")

    def __str__(self) -> str:
        return f"requests held for {self.alert_id}"
